"""Arithmetic in claims: numbers, names, + − * / ** and parentheses, and nothing that could execute other code."""

import ast
import operator
from collections.abc import Callable, Mapping

from regard_lab.common.errors import UserError, nearest

LONGEST = 200  # characters; keeps the tree shallow
BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}


def parse(text: str) -> ast.expr:
    """The checked tree of an arithmetic expression; anything else is a `UserError`."""
    if len(text) > LONGEST:
        raise UserError(f"an expression has at most {LONGEST} characters, this one has {len(text)}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise UserError(f"{text!r} is not an arithmetic expression") from None
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(op=op) if type(op) in BINARY:
                continue
            case ast.UnaryOp(op=sign) if type(sign) in UNARY:
                continue
            case ast.Constant(value=value) if type(value) in (int, float):
                continue
            case ast.Name() | ast.Load() | ast.operator() | ast.unaryop():
                continue
        raise UserError(f"{text!r} is not plain arithmetic: {type(node).__name__} is not allowed")
    return tree


def names(text: str) -> set[str]:
    """The names that an expression uses."""
    return {node.id for node in ast.walk(parse(text)) if isinstance(node, ast.Name)}


def evaluate(text: str, values: Mapping[str, float]) -> float:
    """The value of an expression in floating point. Unknown names, division by zero and overflow are `UserError`s."""

    def value(node: ast.expr) -> float:
        match node:
            case ast.BinOp(left=left, op=op, right=right):
                return BINARY[type(op)](value(left), value(right))
            case ast.UnaryOp(op=sign, operand=operand):
                return UNARY[type(sign)](value(operand))
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name) if name in values:
                return float(values[name])
            case ast.Name(id=name):
                known = ", ".join(sorted(values)) or "none"
                raise UserError(f"{text!r} uses {name!r}; known are {known}.{nearest(name, values)}")
        raise AssertionError(f"parse let {ast.dump(node)} through")

    try:
        result = value(parse(text))
    except (ZeroDivisionError, OverflowError) as error:
        raise UserError(f"{text!r} has no finite value: {error}") from None
    if isinstance(result, complex):
        raise UserError(f"{text!r} has no real value")
    return result
