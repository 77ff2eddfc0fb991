"""Mechanisms by name. A file in `mechanisms/` bears its mechanism's name and registers it with `@mechanism`; a clash raises.

`build("super", …)` imports that one file and no other, so that a change in one mechanism leaves the results of the others untouched.
"""

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from torch import nn

from regard.common.patterns import ALL_PATTERNS, Pattern

Module = TypeVar("Module", bound=type[nn.Module])
_registered: dict[str, Any] = {}


class UnknownMechanism(ValueError):
    """No mechanism has this name; the message gives the nearest."""


class UnsupportedPattern(ValueError):
    """The mechanism does not have this pattern; the message lists those it has."""


def mechanism(name: str, *, patterns: Iterable[Pattern], paper: str) -> Callable[[Module], Module]:
    """Register a class under `name`, with the patterns it supports and the paper that defines it."""

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
        _registered[name] = cls
        return cls

    return register


def list_mechanisms() -> list[str]:
    """The names of all mechanisms: those of this library and those that were registered beside it."""
    shipped = {module.name for module in pkgutil.iter_modules(importlib.import_module("regard.mechanisms").__path__)}
    return sorted(shipped | set(_registered))


def mechanism_class(name: str) -> Any:
    """The class registered under `name`; its file is imported when it has not been yet."""
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


def build(name: str, *, width: int, heads: int, pattern: Pattern = "noncausal_self", **options: Any) -> Any:
    """A multi-head attention layer (b, n, w) -> (b, n, w) of the named mechanism.

    `options` are the mechanism's own (`rounds=`, `length=` …) and `bias=`. Raises `UnknownMechanism`, `UnsupportedPattern`, or
    `ValueError`/`TypeError` for sizes and options that cannot be.
    """
    cls = mechanism_class(name)
    if pattern not in cls.patterns:
        known = f"it has {', '.join(cls.patterns)}"
        raise UnsupportedPattern(f"{name!r} does not have the pattern {pattern!r}; {known}")
    check_options(cls, options)
    return cls(width=width, heads=heads, pattern=pattern, **options)


def check_options(cls: Any, options: Iterable[str]) -> None:
    """Raises TypeError for an option that the mechanism's constructor does not take, and says which it takes."""
    takes = inspect.signature(cls).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values()):
        return
    if unknown := sorted(set(options) - takes.keys()):
        own = ", ".join(option for option in takes if option not in ("width", "heads", "pattern"))
        name = getattr(cls, "name", cls.__name__)
        raise TypeError(f"{name!r} takes no option {', '.join(map(repr, unknown))}; it takes {own or 'none'}")
