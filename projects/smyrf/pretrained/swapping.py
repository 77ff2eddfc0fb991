"""SMYRF in the place of a Hugging Face model's attention, with every option of the mechanism; no weight and no code of the model changes.

    with swapped(model, Swap(rounds=2, cluster_size=32, dedup=True)):
        model(ids)
    with swapped(model, None):                     # dense attention by torch's fused kernel
        model(ids)

What a model may ask of its attention, and what is refused, is as in `regard.adapters.huggingface`, whose implementation has no choice of hash and
does not count keys once; directions of the asymmetric hash are the same as there for the same seed and layer number.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regard import cost
from regard.adapters.huggingface import (
    REFUSED,
    attention_modules,
    crosses,
    is_causal_module,
    key_mask_of,
    padding_mask,
)
from regard.hashing import checked_directions
from regard.mechanisms.smyrf import smyrf
from regard.mechanisms.softmax import softmax

IMPLEMENTATION = "smyrf-swap"  # the name that transformers knows the function by
MARK = "smyrf_swap"  # the attribute of an attention module with its place and what is swapped in
FUSED = "sdpa"


@dataclass(frozen=True)
class Swap:
    """SMYRF's options; `layers` are the numbers of those that get it (None: all), counted from 0."""

    rounds: int
    cluster_size: int
    scheme: str = "asymmetric"
    dedup: bool = False
    layers: tuple[int, ...] | None = None
    seed: int = 0

    def buckets(self, n: int) -> int:
        """Buckets of Reformer's hash: as many as clusters, made even, as in the released code's branch of schemes."""
        return 2 * -(-n // (2 * self.cluster_size))

    def directions(self, n: int, d: int, place: int, device: torch.device) -> Tensor:
        """What the seed draws for the layer at this place, for n tokens of head width d."""
        generator = torch.Generator().manual_seed(self.seed * 10_007 + place)
        drawn = checked_directions(None, self.scheme, d, self.rounds, self.buckets(n), generator)
        return drawn.to(device)

    def score_memory(self, n: int, causal: bool, layers: int) -> float:
        """Score entries of n tokens as a part of dense attention's n², the mean over the model's layers."""
        pattern = "causal_self" if causal else "noncausal_self"
        own = cost.score_memory("smyrf", n=n, rounds=self.rounds, cluster_size=self.cluster_size, pattern=pattern)
        swapped_layers = layers if self.layers is None else len(self.layers)
        return (swapped_layers * own + layers - swapped_layers) / layers


@contextmanager
def swapped(model: Any, swap: Swap | None) -> Iterator[None]:
    """Within the block the model's attention is SMYRF, or for None the fused kernel; afterwards it is what it was before.

    Raises ValueError for a model without attention that can be swapped, and for layers that it does not have.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(IMPLEMENTATION, attention)
    AttentionMaskInterface.register(IMPLEMENTATION, padding_mask)
    modules = modules_of(model)
    if swap is not None and (unknown := sorted(set(swap.layers or ()) - set(range(len(modules))))):
        raise ValueError(f"there is no layer {', '.join(map(str, unknown))}; the model has 0 … {len(modules) - 1}")
    before = model.config._attn_implementation
    for place, module in enumerate(modules):
        setattr(module, MARK, (place, swap))
    model.set_attn_implementation(FUSED if swap is None else IMPLEMENTATION)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
        for module in modules:
            delattr(module, MARK)


def modules_of(model: Any) -> list[Any]:
    """The model's attention modules in their order; ValueError if it has none that go through transformers' attention interface."""
    modules = list(attention_modules(model))
    if not modules:
        raise ValueError(
            f"{type(model).__name__} has no attention that goes through transformers' attention interface, so none can be swapped"
        )
    return modules


def is_causal(model: Any) -> bool:
    """Is the model's attention causal?"""
    return is_causal_module(modules_of(model)[0], None)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """The attention function of transformers: query (b, h, n, d), key and value (b, g, n, d), h a multiple of g -> (b, n, h, d), no weights."""
    kind = type(module).__name__
    for name, what in REFUSED.items():
        if others.get(name) is not None:
            raise ValueError(f"{kind} wants {what} ({name}=), which SMYRF does not have")
    causal = is_causal_module(module, is_causal)
    b, h, n, d = query.shape
    if n != key.shape[2] or (not causal and crosses(module)):
        raise ValueError(f"{kind} attends to another sequence or to a cache ({n} queries, {key.shape[2]} keys)")
    key, value = (x.repeat_interleave(h // x.shape[1], 1) for x in (key, value))
    mask = key_mask_of(attention_mask, b, n, n, causal)
    given: dict[str, Any] = {"causal": causal, "key_mask": mask, "scale": d**-0.5 if scaling is None else scaling}
    place, swap = getattr(module, MARK)
    if swap.layers is not None and place not in swap.layers:
        out = softmax(query, key, value, **given)
    else:
        given |= {"rounds": swap.rounds, "cluster_size": swap.cluster_size, "scheme": swap.scheme, "dedup": swap.dedup}
        given |= {"buckets": swap.buckets(n), "directions": swap.directions(n, d, place, query.device)}
        out = smyrf(query, key, value, query_mask=mask, **given)
    return out.transpose(1, 2).contiguous(), None
