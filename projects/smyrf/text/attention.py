"""Which attention an encoder of transformers runs, and how much of dense attention SMYRF computes.

Dense attention is the model's own, with PyTorch's fused kernel. SMYRF comes from Regard's adapter, or, where a table asks for an order of masks,
from `mask_order.py`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from projects.smyrf.text import mask_order
from regard import cost
from regard.adapters import huggingface

Reseed = Callable[[int], None]


def put(
    encoder: Any,
    name: str,
    *,
    rounds: int = 1,
    cluster_size: int = 1,
    scheme: str = "asymmetric",
    mask: str | None = None,
) -> Reseed | None:
    """Have the encoder run `softmax`, or `smyrf`, with a `mask` order if one is given. Returns what draws SMYRF's directions anew from a seed."""
    if name == "softmax":
        encoder.set_attn_implementation("sdpa")
        return None
    if mask is not None:
        return mask_order.put(encoder, mask, rounds=rounds, cluster_size=cluster_size)
    huggingface.register()
    encoder.set_attn_implementation("regard-smyrf")
    huggingface.configure(encoder, rounds=rounds, cluster_size=cluster_size, scheme=scheme)

    def reseed(seed: int) -> None:
        huggingface.configure(encoder, seed=seed)

    return reseed


def set_attention_dropout(encoder: nn.Module, dropout: float) -> None:
    """Set the dropout of attention weights, which only dense attention has."""
    for module in huggingface.attention_modules(encoder):
        module.dropout.p = dropout
        module.config.attention_probs_dropout_prob = dropout


def score_memory(mechanism: str | type[Any], lengths: Sequence[int], *, rounds: int, cluster_size: int) -> float:
    """Score entries over texts of these lengths in % of dense attention's: rounds · cluster keys / keys, for one text.

    A text that is no longer than a cluster is dense attention, `rounds` times over.
    """
    if mechanism == "softmax":
        return 100.0
    sizes = {"rounds": rounds, "cluster_size": cluster_size}
    entries = sum(cost.score_entries(mechanism, heads=1, n=n, **sizes) for n in lengths)
    return 100 * entries / sum(n * n for n in lengths)
