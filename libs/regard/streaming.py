"""Causal sequences a segment at a time, in order: what a form computes of its tokens never stands in memory for all of them at once."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from regard.containment import finite_pair
from regard.patterns import zero_masked

CHUNKS = 16  # a segment: enough for products to be quick, few enough for what they leave to stay in the cache


class Segment(NamedTuple):
    """Where it lies; q, k and v (b, h, t, ·), float32 at least, k and v 0 where masked or not finite; mask (b, t); where NaN goes (b, h, t, e)."""

    at: slice
    q: Tensor
    k: Tensor
    v: Tensor
    mask: Tensor | None
    spoilt: Tensor


def segments(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, *, chunk: int = 64) -> Iterator[Segment]:
    """CHUNKS chunks each; in a compiled graph, which would repeat its nodes for every one, a single segment."""
    n, wide = v.shape[2], torch.promote_types(v.dtype, torch.float32)
    length = max(n, 1) if torch.compiler.is_compiling() else CHUNKS * chunk
    before = torch.zeros(1, dtype=torch.bool, device=v.device)
    for start in range(0, n, length):
        at = slice(start, start + length)
        mask = None if key_mask is None else key_mask[:, at]
        own_k, own_v, spoilt = finite_pair(*(zero_masked(x[:, :, at], mask).to(wide) for x in (k, v)))
        spoilt = spoilt | before
        before = spoilt[:, :, -1:]
        yield Segment(at, q[:, :, at].to(wide), own_k, own_v, mask, spoilt)
