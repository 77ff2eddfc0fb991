"""What type checkers see of mechanisms and functions: `python -m tests.regard.signatures` writes it anew.

`libs/regard/signatures.pyi` is made from the constructors, the imports and `__all__` of `libs/regard/functional.py` from the files of the mechanisms.
"""

import ast
import inspect
import subprocess
import sys
import textwrap
from typing import get_args

import regard
from regard import functional
from regard.attention import Attention, claimed
from regard.registry import mechanism_class
from tests.paths import ROOT

PATH = ROOT / "libs/regard/signatures.pyi"
FUNCTIONAL = ROOT / "libs/regard/functional.py"
HEAD = '''"""`build`, `swap` and `replace_attention` of `regard` as type checkers see them: one signature per mechanism of this library.

Written by `python -m tests.regard.signatures` and held to the constructors by a test. At run time `regard.build` is
`regard.registry.build`, `regard.swap` is `regard.adapters.swapping.swap`, and `regard.replace_attention` is
`regard.adapters.torch_modules.replace_attention`; these take any name.
"""

from collections.abc import Collection
from typing import Any, Literal, overload

import torch
from torch import nn

from regard.adapters.swapping import SwapReport, Where
'''
SIZES = ("width", "heads", "pattern", "bias")  # what `replace_attention` has from the module that it replaces


def shipped() -> list[str]:
    """The mechanisms of this library."""
    return [name for name in regard.list_mechanisms() if mechanism_class(name).__module__.startswith("regard.")]


def constructor(cls: type[Attention]) -> dict[str, tuple[str, str]]:
    """The annotation and the default, as ` = value`, of each of a constructor's options, as they are written there."""
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(cls.__init__))).body
    assert isinstance(function, ast.FunctionDef)
    options = {}
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        assert argument.annotation is not None
        kind = ast.unparse(argument.annotation)
        literal = cls.patterns if argument.arg == "pattern" else get_args(vars(sys.modules[cls.__module__]).get(kind))
        if literal:  # an alias of a Literal, spelt out
            kind = f"Literal[{', '.join(map(repr, literal))}]"
        value = "" if default is None else f" = {ast.unparse(default)}"
        options[argument.arg] = kind, value
    return options


def build_signature(cls: type[Attention]) -> str:
    """One overload of `build`."""
    options = [f"{name}: {kind}{value}" for name, (kind, value) in constructor(cls).items()]
    return f'@overload\ndef build(name: Literal["{cls.name}"], *, {", ".join(options)}) -> {cls.__name__}: ...\n'


def swap_signature(cls: type[Attention]) -> str:
    """One overload of `swap`; its options have the constructor's types and the defaults of `function_options`."""
    defaults, kinds = claimed(cls, "function_options"), constructor(cls)
    options = []
    for name, default in defaults.items():
        kind = kinds[name][0]
        options.append(f"{name}: {kind}{' | None' if default is None and 'None' not in kind else ''} = {default!r}")
    which = f'mechanism: Literal["{cls.name}"]' + (' = "smyrf"' if cls.name == "smyrf" else "")
    given = ["where: Where = None", "example: Any = None", "seed: int = 0", *options]
    return f"@overload\ndef swap(model: nn.Module, {which}, *, {', '.join(given)}) -> SwapReport: ...\n"


def replace_signature(cls: type[Attention]) -> str:
    """One overload of `replace_attention`."""
    options = [
        f"{name}: {kind}{value}" for name, (kind, value) in constructor(cls).items() if name not in (*SIZES, "seed")
    ]
    patterns = f"Literal[{', '.join(map(repr, cls.patterns))}] | None = None"
    given = [f"pattern: {patterns}", "only: str | Collection[str] | None = None", "self_attention: bool | None = None"]
    given += ["seed: int = 0", *options]
    which = f'model: nn.Module, mechanism: Literal["{cls.name}"], *, '
    return f"@overload\ndef replace_attention({which}{', '.join(given)}) -> list[str]: ...\n"


def stub(names: list[str]) -> str:
    """The whole file for these mechanisms."""
    classes = [mechanism_class(name) for name in names]
    imports = [f"from regard.mechanisms.{cls.name} import {cls.__name__}\n" for cls in classes]
    swaps = [swap_signature(cls) for cls in classes if claimed(cls, "function_options") is not None]
    whole = [replace_signature(cls) for cls in classes if set(cls.maps) == set(Attention.maps)]
    return "".join([HEAD, *imports, *map(build_signature, classes), *swaps, *whole])


def with_functions(text: str, names: list[str]) -> str:
    """The text of `functional.py` with the functions of these mechanisms in its imports and in `__all__`."""
    there = {"super_values": "super"} | {name: name for name in names if name in dir(functional)}
    imports = [f"    from regard.mechanisms.{there[name]} import {name}\n" for name in sorted(there)]
    before, begin, rest = text.partition("if TYPE_CHECKING:\n")
    _, end, after = rest.partition("if not TYPE_CHECKING:")
    listed = "".join(f'    "{name}",\n' for name in sorted(there))
    return f"{before}{begin}{''.join(imports)}\n__all__ = [\n{listed}]\n\n{end}{after}"


if __name__ == "__main__":
    PATH.write_text(stub(shipped()), encoding="utf-8")
    FUNCTIONAL.write_text(with_functions(FUNCTIONAL.read_text(encoding="utf-8"), shipped()), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", PATH, FUNCTIONAL], check=True)
