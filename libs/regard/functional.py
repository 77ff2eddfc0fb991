"""Each mechanism's function on split heads, by the mechanism's name: `regard.functional.smyrf(q, k, v, rounds=2, cluster_size=32)`.

A function's file is imported when it is first asked for. `optimised` and `efficient` are not here: on split heads they are `softmax`;
`super` is `softmax` of `super_values`.
"""

import importlib
from typing import Any

FILES = {
    "abc": "abc",
    "cosformer": "cosformer",
    "lara": "lara",
    "local": "local",
    "longshort": "longshort",
    "nystrom": "nystrom",
    "performer": "performer",
    "probsparse": "probsparse",
    "s4d": "s4d",
    "smyrf": "smyrf",
    "softmax": "softmax",
    "super_values": "super",
}


def __getattr__(name: str) -> Any:
    if name not in FILES:
        raise AttributeError(f"module 'regard.functional' has no attribute {name!r}; it has {', '.join(FILES)}")
    return getattr(importlib.import_module(f"regard.mechanisms.{FILES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(FILES)
