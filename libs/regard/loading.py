"""What a command line names: a mechanism's class, a function in a user's file, an option.

Every error is one sentence.
"""

import ast
import difflib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from regard.attention import Attention
from regard.common.patterns import Pattern, zero_masked
from regard.registry import mechanism_class


class BadRequest(ValueError):
    """The command line asks for something that does not exist; the message is one sentence for the user."""


def find_class(target: str) -> Any:
    """The class that a command line names.

    Args:
        target: A registered name, module:Class, or path/to/file.py:Class.

    Returns:
        The class; a module that is no mechanism and whose `forward` takes q, k and v as a mechanism (`as_mechanism`).

    Raises:
        BadRequest: There is no such file, module or class, or it cannot be imported.
        UnknownMechanism: No mechanism has this name.
    """
    place, colon, wanted = target.rpartition(":")
    if not colon:
        return mechanism_class(target)
    module = load_file(Path(place)) if place.endswith(".py") else load_module(place)
    cls = getattr(module, wanted, None)
    if cls is None:
        classes = [name for name, value in vars(module).items() if isinstance(value, type) and hasattr(value, "mix")]
        near = difflib.get_close_matches(wanted, classes, n=1) or classes[-1:]
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise BadRequest(f"{place} has no class {wanted!r}.{hint}")
    if isinstance(cls, type) and issubclass(cls, nn.Module) and not issubclass(cls, Attention) and takes_qkv(cls):
        return as_mechanism(cls)
    return cls


def takes_qkv(cls: type[nn.Module]) -> bool:
    """Are the first three arguments of its `forward` q, k and v, or query, key and value?"""
    names = list(inspect.signature(cls.forward).parameters)[1:4]
    return names in (["q", "k", "v"], ["query", "key", "value"])


def as_mechanism(module: type[nn.Module], patterns: Iterable[Pattern] | None = None) -> type[Attention]:
    """A module that mixes values as a mechanism, so that it can be certified, measured and scored.

    The module is the `mix` of a layer, between the projections: `forward(q, k, v)`, `(b, h, n, d)` and twice
    `(b, h, m, d)` -> `(b, h, n, d)`. If it names them, it is also given `key_mask`, `(b, m)`, True = keep, or None, and
    `causal`, a boolean. Options of the mechanism are those of the module's constructor.

    Args:
        module: The module's class.
        patterns: What it can do. Default: its attribute `patterns`; without one, noncausal self attention, and causal too
            if it takes `causal`.

    Returns:
        A mechanism's class of the same name. Masked keys and values are zeroed before the module sees them, and a query
        that sees no key mixes to 0, as in every mechanism of the library. It has no plain reference, so that certification
        compares it with none.
    """
    takes = set(inspect.signature(module.forward).parameters)
    own = [one for one in inspect.signature(module).parameters.values() if one.kind is not one.VAR_POSITIONAL]
    known: tuple[Pattern, ...] = ("noncausal_self", "causal_self") if "causal" in takes else ("noncausal_self",)

    class Wrapped(Attention):
        name = module.__name__
        paper = "none"

        def __init__(
            self, *, width: int, heads: int, pattern: Pattern = "noncausal_self", bias: bool = True, **options: Any
        ) -> None:
            super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
            self.module = module(**options)

        def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
            given = {"key_mask": key_mask, "causal": self.causal}
            k, v = zero_masked(k, key_mask), zero_masked(v, key_mask)
            mixed: Tensor = self.module(q, k, v, **{name: given[name] for name in given if name in takes})
            if key_mask is None:
                return mixed
            sees = key_mask.cummax(1).values if self.causal else key_mask.any(1, keepdim=True)
            return mixed.masked_fill(~sees[:, None, :, None], 0)

        @classmethod
        def parameter_count(
            cls, *, width: int, heads: int, length: int, bias: bool = True, pattern: Any = None, **options: Any
        ) -> int:
            if any(one.name == "length" for one in own):
                options["length"] = length
            inside = sum(parameter.numel() for parameter in module(**options).parameters())
            return super().parameter_count(width=width, heads=heads, length=length, bias=bias) + inside

    Wrapped.naive = None  # type: ignore[method-assign, assignment]
    Wrapped.patterns = tuple(patterns if patterns is not None else getattr(module, "patterns", known))
    Wrapped.__name__ = Wrapped.__qualname__ = module.__name__
    Wrapped.__module__ = module.__module__
    sizes = inspect.signature(Attention).parameters.values()
    options = [one if one.kind is one.VAR_KEYWORD else one.replace(kind=one.KEYWORD_ONLY) for one in own]
    Wrapped.__signature__ = inspect.Signature([*sizes, *options])  # type: ignore[attr-defined]
    return Wrapped


def load_module(name: str) -> ModuleType:
    """Import a module by its dotted name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise BadRequest(f"{name} cannot be imported: {error}") from error
        raise BadRequest(f"there is no module {name!r}; for a file write path/to/file.py:Class") from error
    except Exception as error:
        raise BadRequest(f"{name} cannot be imported: {type(error).__name__}: {error}") from error


def load_file(path: Path) -> ModuleType:
    """Run a file as a module of its own; it may import files beside it."""
    if not path.is_file():
        raise BadRequest(f"there is no file {path}")
    path = path.resolve()
    name = f"user_{path.stem}"  # a user's queue.py must not take the place of Python's
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.insert(1, str(path.parent))
    sys.modules[name] = module  # where the layer looks for `naive_<name>`
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadRequest(f"{path.name} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def key_and_value(text: str) -> tuple[str, Any]:
    """`rounds=2` -> ("rounds", 2); anything but a Python literal stays a string."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise BadRequest(f"--option takes KEY=VALUE, got {text!r}")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value
