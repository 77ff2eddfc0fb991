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
from regard.attention import Attention
from regard.registry import mechanism_class
from tests.paths import ROOT

PATH = ROOT / "libs/regard/signatures.pyi"
FUNCTIONAL = ROOT / "libs/regard/functional.py"
HEAD = '''"""`regard.build` as type checkers see it: one signature per mechanism of this library, those of their constructors.

Written by `python -m tests.regard.signatures` and held to the constructors by a test. At run time `regard.build` is `regard.registry.build`.
"""

from typing import Literal, overload

import torch

'''


def shipped() -> list[str]:
    """The mechanisms of this library."""
    return [name for name in regard.list_mechanisms() if mechanism_class(name).__module__.startswith("regard.")]


def signature(cls: type[Attention]) -> str:
    """One overload of `build`: the constructor's options, with annotations and defaults as they are written there."""
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(cls.__init__))).body
    assert isinstance(function, ast.FunctionDef)
    options = []
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        assert argument.annotation is not None
        kind = ast.unparse(argument.annotation)
        literal = cls.patterns if argument.arg == "pattern" else get_args(vars(sys.modules[cls.__module__]).get(kind))
        if literal:  # an alias of a Literal, spelt out
            kind = f"Literal[{', '.join(map(repr, literal))}]"
        value = "" if default is None else f" = {ast.unparse(default)}"
        options.append(f"{argument.arg}: {kind}{value}")
    return f'@overload\ndef build(name: Literal["{cls.name}"], *, {", ".join(options)}) -> {cls.__name__}: ...\n'


def stub(names: list[str]) -> str:
    """The whole file for these mechanisms."""
    classes = [mechanism_class(name) for name in names]
    imports = [f"from regard.mechanisms.{cls.name} import {cls.__name__}\n" for cls in classes]
    return "".join([HEAD, *imports, *map(signature, classes)])


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
