"""Each mechanism's function on split heads, by the mechanism's name: `regard.functional.smyrf(q, k, v, rounds=2, cluster_size=32)`.

A function's file is imported when it is first asked for. `optimised` and `efficient` are not here: on split heads they are `softmax`;
`super` is `softmax` of `super_values`.
"""

import sys
from typing import TYPE_CHECKING, Any

from regard.registry import mechanism_class, mechanisms

if TYPE_CHECKING:
    from regard.mechanisms.abc import abc as abc
    from regard.mechanisms.cosformer import cosformer as cosformer
    from regard.mechanisms.lara import lara as lara
    from regard.mechanisms.linformer import linformer as linformer
    from regard.mechanisms.local import local as local
    from regard.mechanisms.longshort import longshort as longshort
    from regard.mechanisms.nystrom import nystrom as nystrom
    from regard.mechanisms.performer import performer as performer
    from regard.mechanisms.probsparse import probsparse as probsparse
    from regard.mechanisms.s4d import s4d as s4d
    from regard.mechanisms.smyrf import smyrf as smyrf
    from regard.mechanisms.softmax import softmax as softmax
    from regard.mechanisms.super import super_values as super_values

OF_SUPER = "super_values"
NO_FUNCTION = {"efficient", "optimised", "super"}


def __getattr__(name: str) -> Any:
    if name not in __dir__():
        raise AttributeError(f"module 'regard.functional' has no attribute {name!r}; it has {', '.join(__dir__())}")
    cls = mechanism_class("super" if name == OF_SUPER else name)
    return getattr(sys.modules[cls.__module__], name)


def __dir__() -> list[str]:
    return sorted({*mechanisms(), OF_SUPER} - NO_FUNCTION)
