"""Source files as definitions: what a module binds at its top level, in a form that only a change of meaning changes.

`read_module` renders each function, class and constant as a sequence of tokens in which other definitions of this
repository stand as `Reference`s, names from outside are written with their full path, and local variables are numbered.
Left out, because it cannot change a number: comments, docstrings and layout; annotations (fields of dataclasses and the
like keep theirs); the message of a `raise`, an `assert` or a warning; the names of local variables; `if TYPE_CHECKING:`
and `if __name__ == "__main__":`; overloads. Nothing is imported: the code need not be able to run.
"""

import ast
import functools
from dataclasses import dataclass, field, replace
from pathlib import Path

from regard_lab.experiment.source_names import (
    Names,
    Reference,
    bound_names,
    called_name,
    file_of,
    imported_modules,
    names_of,
    without_docstrings,
)
from regard_lab.experiment.token_writer import SILENT_STATEMENT, Token, TokenWriter, keeps_annotations

# Bases whose methods call each other by known names; any other base from outside may call every member.
PLAIN_BASES = {"typing.Protocol", "typing.Generic", "abc.ABC", "builtins.object"}
MODULE_BASES = {"torch.nn.Module", "torch.nn.modules.module.Module"}


@dataclass(frozen=True)
class Definition:
    """One definition.

    Attributes:
        tokens: Its text. Of a class: bases, decorators, and statements that bind no member.
        mentions: Names that the text uses as attributes, or as strings that could be names: members of any class are
            reached through these.
        members: For a class, each member by name, in order.
        bases: For a class, its bases within this repository.
        hooks: Names of members that code from outside may call; `None` if it may call every member.
    """

    tokens: tuple[Token, ...]
    mentions: frozenset[str]
    members: dict[str, "Definition"] = field(default_factory=dict)
    bases: tuple[Reference, ...] = ()
    hooks: frozenset[str] | None = frozenset()


@dataclass(frozen=True)
class ModuleSource:
    """A module: its definitions by name, statements with an effect when it is imported, the modules that it imports, and its registered names.

    `registered` maps the first argument of a decorator (`@mechanism("smyrf", …)`) to the name of what it decorates.
    """

    definitions: dict[str, Definition]
    effects: tuple[Definition, ...]
    imports: tuple[str, ...]
    registered: dict[str, str]


def read_module(name: str, root: Path) -> ModuleSource | None:
    """The definitions of a module, or `None` where this repository has no such module."""
    path = file_of(name, root)
    return None if path is None else _read(name, root, path, path.stat().st_mtime_ns)


@functools.cache
def _read(name: str, root: Path, path: Path, _changed: int) -> ModuleSource:
    names = names_of(name, root)
    definitions = {bound: _definition(statements, names, bound) for bound, statements in names.bindings.items()}
    effects = (_definition([statement], names, "") for statement in names.effects)
    counted = tuple(effect for effect in effects if effect.tokens != (SILENT_STATEMENT,))
    return ModuleSource(definitions, counted, tuple(dict.fromkeys(imported_modules(names, root))), names.registered)


def _definition(statements: list[ast.stmt], names: Names, own: str) -> Definition:
    """The definition of the module-level name `own` from the statements that bind it."""
    if len(statements) == 1 and isinstance(cls := statements[0], ast.ClassDef):
        return _class_definition(cls, names)
    writer = TokenWriter(names, own)
    for statement in statements:
        writer.statement(statement, outermost=True)
    return _written(writer)


def _written(writer: TokenWriter) -> Definition:
    return Definition(tuple(writer.tokens), frozenset(writer.mentions))


def _class_definition(cls: ast.ClassDef, names: Names) -> Definition:
    keeps = keeps_annotations(cls)
    writer = TokenWriter(names, cls.name, bound_names(cls.body))
    writer.header(cls)
    members: dict[str, TokenWriter] = {}
    order: list[str] = []
    for statement in without_docstrings(cls.body):
        bound = bound_names([statement])
        if (
            isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.Assign | ast.AnnAssign)
            and len(bound) == 1
        ):
            (name,) = bound
            if _is_overload(statement) or (not keeps and isinstance(statement, ast.AnnAssign) and not statement.value):
                continue
            if name not in members:
                members[name] = TokenWriter(names, cls.name, bound_names(cls.body))
                order.append(name)
            members[name].statement(statement, annotated=keeps)
        else:
            writer.statement(statement, annotated=keeps)
    bases, hooks = [], frozenset[str]() if not keeps else None
    for base in cls.bases:
        node = base.value if isinstance(base, ast.Subscript) else base
        target = writer.path_of(node)
        if isinstance(target, Reference):
            bases.append(target)
        elif target in MODULE_BASES and hooks is not None:
            hooks |= module_hooks()
        elif target not in PLAIN_BASES:
            hooks = None
    return replace(
        _written(writer), members={name: _written(members[name]) for name in order}, bases=tuple(bases), hooks=hooks
    )


def _is_overload(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.FunctionDef) and any(
        called_name(one).rpartition(".")[2] == "overload" for one in statement.decorator_list
    )


@functools.cache
def module_hooks() -> frozenset[str]:
    """The names that `torch.nn.Module` defines and may itself call, read from its source without importing torch."""
    import importlib.util

    spec = importlib.util.find_spec("torch")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    path = folder / "nn" / "modules" / "module.py" if folder else None
    if path is None or not path.is_file():
        raise ImportError("the fingerprint of a torch.nn.Module needs torch to be installed")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (cls,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Module")
    names = bound_names(cls.body) | {"reset_parameters"}
    return frozenset(
        names
        | {node.target.id for node in cls.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    )
