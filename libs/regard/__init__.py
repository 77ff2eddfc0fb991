"""Regard's attention library: certified mechanisms behind one contract.

Letters in shapes: `b` batch, `h` heads, `n` queries, `m` keys, `d` key width, `e` value width, `w` model width, `c`
clusters, landmarks or slots, `r` rounds. Inside: `b h n d`. At module borders: `b n w`. A mask named `*_mask` is
boolean, True = keep.

    layer = regard.build("smyrf", width=512, heads=8, pattern="noncausal_self", rounds=2, cluster_size=32)
    y = layer(x)                                                        # (b, n, w) -> (b, n, w)
    out = regard.functional.smyrf(q, k, v, rounds=2, cluster_size=32)   # (b h n d), (b h m d), (b h m e) -> (b h n e)

The names in `LAZY` are imported on first use, and a mechanism's file when the mechanism is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from regard.attention import Attention
from regard.registry import UnknownMechanism, UnsupportedPattern, list_mechanisms, mechanism, mechanism_class

if TYPE_CHECKING:
    from regard import adapters, cost, effective, functional, mechanisms
    from regard.adapters.swapping import SwapReport, unswap
    from regard.certification import certify
    from regard.observers import observe
    from regard.signatures import build, replace_attention, swap
else:
    from regard.registry import build

LAZY = {
    "SwapReport": "regard.adapters.swapping:SwapReport",
    "adapters": "regard.adapters",
    "certify": "regard.certification:certify",
    "cost": "regard.cost",
    "effective": "regard.effective",
    "functional": "regard.functional",
    "mechanisms": "regard.mechanisms",
    "observe": "regard.observers:observe",
    "replace_attention": "regard.adapters.torch_modules:replace_attention",
    "swap": "regard.adapters.swapping:swap",
    "unswap": "regard.adapters.swapping:unswap",
}

__all__ = [
    "Attention",
    "SwapReport",
    "UnknownMechanism",
    "UnsupportedPattern",
    "adapters",
    "build",
    "certify",
    "cost",
    "effective",
    "functional",
    "list_mechanisms",
    "mechanism",
    "mechanism_class",
    "mechanisms",
    "observe",
    "replace_attention",
    "swap",
    "unswap",
]

if not TYPE_CHECKING:  # to a type checker a misspelt name is an error

    def __getattr__(name: str) -> Any:
        if name not in LAZY:
            raise AttributeError(f"module 'regard' has no attribute {name!r}; it has {', '.join(__all__)}")
        module, _, function = LAZY[name].partition(":")
        loaded = importlib.import_module(module)
        return getattr(loaded, function) if function else loaded


def __dir__() -> list[str]:
    return sorted(__all__)
