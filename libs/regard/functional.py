"""Each mechanism's function on split heads, by the mechanism's name.

`regard.functional.smyrf(q, k, v, rounds=2, cluster_size=32)`.

A function's file is imported when it is first asked for. `optimised` and `efficient` are not here: on split heads they
are `softmax`; `super` is `softmax` of `super_values`. The function of a mechanism that is registered outside this
library is found by its name too.
"""

import sys
from typing import TYPE_CHECKING, Any

from regard.registry import list_mechanisms, mechanism_class

if TYPE_CHECKING:
    from regard.mechanisms.abc import abc
    from regard.mechanisms.cosformer import cosformer
    from regard.mechanisms.hyper import hyper
    from regard.mechanisms.kde import kde
    from regard.mechanisms.lara import lara
    from regard.mechanisms.linformer import linformer
    from regard.mechanisms.local import local
    from regard.mechanisms.longshort import longshort
    from regard.mechanisms.nystrom import nystrom
    from regard.mechanisms.performer import performer
    from regard.mechanisms.probsparse import probsparse
    from regard.mechanisms.s4d import s4d
    from regard.mechanisms.scatterbrain import scatterbrain
    from regard.mechanisms.smyrf import smyrf
    from regard.mechanisms.softmax import softmax
    from regard.mechanisms.super import super_values

__all__ = [
    "abc",
    "cosformer",
    "hyper",
    "kde",
    "lara",
    "linformer",
    "local",
    "longshort",
    "nystrom",
    "performer",
    "probsparse",
    "s4d",
    "scatterbrain",
    "smyrf",
    "softmax",
    "super_values",
]

if not TYPE_CHECKING:  # to a type checker a misspelt function is an error

    def __getattr__(name: str) -> Any:
        if (function := _function(name)) is None:
            raise AttributeError(f"module 'regard.functional' has no attribute {name!r}; it has {', '.join(__dir__())}")
        return function


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in list_mechanisms() if _function(name) is not None)})


def _function(name: str) -> Any:
    """The function in the file of the mechanism with that name, or None."""
    mechanism = "super" if name == "super_values" else name
    if mechanism not in list_mechanisms():
        return None
    return getattr(sys.modules[mechanism_class(mechanism).__module__], name, None)
