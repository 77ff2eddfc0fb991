"""Each mechanism's function on split heads, by the mechanism's name: `regard.functional.smyrf(q, k, v, rounds=2, cluster_size=32)`.

A function's file is imported when it is first asked for. `optimised` and `efficient` are not here: on split heads they are `softmax`;
`super` is `softmax` of `super_values`.
"""

import sys
from typing import Any

from regard.registry import list_mechanisms, mechanism_class

OF_SUPER = "super_values"
NO_FUNCTION = {"efficient", "optimised", "super"}


def __getattr__(name: str) -> Any:
    if name not in __dir__():
        raise AttributeError(f"module 'regard.functional' has no attribute {name!r}; it has {', '.join(__dir__())}")
    cls = mechanism_class("super" if name == OF_SUPER else name)
    return getattr(sys.modules[cls.__module__], name)


def __dir__() -> list[str]:
    return sorted({*list_mechanisms(), OF_SUPER} - NO_FUNCTION)
