"""Regard's attention library: certified mechanisms behind one contract.

Letters in shapes: `b` batch, `h` heads, `n` queries, `m` keys, `d` key width, `e` value width, `w` model width, `c` clusters, landmarks or
slots, `r` rounds. Inside: `b h n d`. At module borders: `b n w`. A mask named `*_mask` is boolean, True = keep.

    layer = regard.build("smyrf", width=512, heads=8, pattern="noncausal_self", rounds=2, cluster_size=32)
    y = layer(x)                                                        # (b, n, w) -> (b, n, w)
    out = regard.functional.smyrf(q, k, v, rounds=2, cluster_size=32)   # (b h n d), (b h m d), (b h m e) -> (b h n e)

Everything below `LAZY` is imported on first use, and a mechanism's file when it is first asked for.
"""

import importlib
from typing import Any

from regard.attention import Attention
from regard.registry import UnknownMechanism, UnsupportedPattern, build, list_mechanisms, mechanism

LAZY = {
    "adapters": "regard.adapters",
    "certify": "regard.certification:certify",
    "cost": "regard.cost",
    "effective": "regard.effective",
    "functional": "regard.functional",
    "observe": "regard.observers:observe",
    "replace_attention": "regard.adapters.torch_modules:replace_attention",
}

__all__ = ["Attention", "UnknownMechanism", "UnsupportedPattern", "build", "list_mechanisms", "mechanism", *LAZY]


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module 'regard' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, _, function = LAZY[name].partition(":")
    found = importlib.import_module(module)
    return getattr(found, function) if function else found


def __dir__() -> list[str]:
    return sorted(__all__)
