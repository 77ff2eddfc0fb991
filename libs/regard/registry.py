"""Mechanisms by name.

A file or folder in `mechanisms/` bears its mechanism's name and registers it with `@mechanism`; a name clash raises an
error.

`build("super", …)` imports that one and no other, so that a change in one mechanism leaves the results of the others
untouched.
"""

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from torch import nn

from regard.attention import Attention
from regard.common.patterns import ALL_PATTERNS, Pattern

Module = TypeVar("Module", bound=type[nn.Module])
_registered: dict[str, type[Attention]] = {}


class UnknownMechanism(ValueError):
    """No mechanism has this name; the message gives the nearest."""


class UnsupportedPattern(ValueError):
    """The mechanism does not have this pattern; the message lists those it has."""


def mechanism(name: str, *, patterns: Iterable[Pattern], paper: str) -> Callable[[Module], Module]:
    """Register a class, as a decorator.

    Args:
        name: The mechanism's name, for `build`.
        patterns: The attention patterns that it supports.
        paper: The paper that defines it, as "Daras et al. 2020".

    Returns:
        A decorator that sets `name`, `patterns` and `paper` on the class and returns it.

    Raises:
        ValueError: Another class has this name, or a pattern is unknown.
    """

    def register(cls: Module) -> Module:
        known = _registered.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(
                f"two mechanisms claim the name {name!r}: {known.__module__}.{known.__qualname__} and {cls.__module__}.{cls.__qualname__}"
            )
        wanted = set(patterns)
        if unknown := wanted - set(ALL_PATTERNS):
            raise ValueError(
                f"{name!r} declares unknown patterns {sorted(unknown)}; there are {', '.join(ALL_PATTERNS)}"
            )
        attributes = {"name": name, "patterns": tuple(p for p in ALL_PATTERNS if p in wanted), "paper": paper}
        for attribute, value in attributes.items():
            setattr(cls, attribute, value)
        _registered[name] = cast(type[Attention], cls)
        return cls

    return register


def list_mechanisms() -> list[str]:
    """The names of all mechanisms, sorted: those of this library and those that users have registered.

    Imports none of them.
    """
    folder = importlib.import_module("regard.mechanisms").__path__
    shipped = {module.name for module in pkgutil.iter_modules(folder)}
    return sorted(shipped | set(_registered))


def mechanism_class(name: str) -> type[Attention]:
    """The class of a mechanism; its file is imported if it has not been yet.

    Args:
        name: A registered name.

    Returns:
        The class: `build(name, …)` without checks of pattern and options.

    Raises:
        UnknownMechanism: No mechanism has this name; the message gives the nearest.
        TypeError: The name is not a string.
    """
    if not isinstance(name, str):
        raise TypeError(f"a mechanism's name must be a string, got {name!r}")
    if name not in _registered:
        known = list_mechanisms()
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UnknownMechanism(f"there is no mechanism {name!r}.{hint} There are: {', '.join(known)}")
        importlib.import_module(f"regard.mechanisms.{name}")
    return _registered[name]


def build(name: str, *, width: int, heads: int, pattern: Pattern = "noncausal_self", **options: Any) -> Attention:
    """Build the multi-head attention layer of a mechanism, `(b, n, w)` -> `(b, n, w)`.

    To type checkers `regard.build` has one signature per mechanism of this library (`regard/signatures.pyi`), so that a
    misspelt name or option is an error; `regard.registry.build` takes any name.

    Args:
        name: A registered name: "smyrf", "softmax", …; `list_mechanisms` lists them.
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        pattern: "noncausal_self", "causal_self", "noncausal_cross" or "causal_cross". Default: "noncausal_self".
        options: The mechanism's own (`rounds=`, `length=` …), as its class documents them, and `bias`, which is True by
            default.

    Returns:
        The layer, in training mode; random draws come from torch's generator unless the mechanism has an option
        `generator=` and it is given.

    Raises:
        UnknownMechanism: No mechanism has this name; the message gives the nearest.
        UnsupportedPattern: The mechanism does not have the pattern; the message lists those it has.
        TypeError: An option that the mechanism does not take, or a value of the wrong type.
        ValueError: Impossible sizes or options.
    """
    cls = mechanism_class(name)
    if pattern not in cls.patterns:
        known = f"it has {', '.join(cls.patterns)}"
        raise UnsupportedPattern(f"{name!r} does not have the pattern {pattern!r}; {known}")
    check_options(cls, options)
    return cls(width=width, heads=heads, pattern=pattern, **options)


def check_options(cls: type[Any], options: Iterable[str]) -> None:
    """Raises TypeError for an option that the mechanism's constructor does not take, and says which it takes."""
    takes = inspect.signature(cls).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values()):
        return
    if unknown := sorted(set(options) - takes.keys()):
        own = ", ".join(option for option in takes if option not in ("width", "heads", "pattern"))
        name = getattr(cls, "name", cls.__name__)
        raise TypeError(f"{name!r} takes no option {', '.join(map(repr, unknown))}; it takes {own or 'none'}")
