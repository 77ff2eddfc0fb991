"""A causal sequence span by span, in order.

The quantities computed from the tokens are never in memory for all tokens at once.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from regard.common.nonfinite import zero_nonfinite_causal
from regard.common.patterns import zero_masked

CHUNKS_PER_SPAN = 16  # enough for products to be fast, few enough for their results to stay in the cache


class Span(NamedTuple):
    """Consecutive tokens.

    `at` says which; q, k, v `(b, h, t, ·)` in float32 at least, k and v 0 where masked or non-finite; mask `(b, t)`.

    `poisoned` `(b, h, t, e)` is True where a non-finite key or value at or before the row makes the output NaN.
    """

    at: slice
    q: Tensor
    k: Tensor
    v: Tensor
    mask: Tensor | None
    poisoned: Tensor


def iterate_spans(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, *, chunk: int = 64) -> Iterator[Span]:
    """The spans of a causal sequence, CHUNKS_PER_SPAN chunks each.

    A compiled graph, which would repeat its nodes for each span, has a single one.

    Args:
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, n, d)`.
        v: Values `(b, h, n, e)`.
        key_mask: `(b, n)`, True = keep, or `None`.
        chunk: Tokens per chunk. Default: 64.

    Yields:
        Spans in order.
    """
    n, wide = v.shape[2], torch.promote_types(v.dtype, torch.float32)
    length = CHUNKS_PER_SPAN * chunk
    spans = [slice(None)]  # in a compiled graph; with numbers it would be one graph for each length
    if not torch.compiler.is_compiling():
        spans = [slice(start, start + length) for start in range(0, n, length)]
    before = torch.zeros(1, dtype=torch.bool, device=v.device)
    for at in spans:
        mask = None if key_mask is None else key_mask[:, at]
        own_k, own_v, poisoned = zero_nonfinite_causal(*(zero_masked(x[:, :, at], mask).to(wide) for x in (k, v)))
        poisoned = poisoned | before
        before = poisoned[:, :, -1:]
        yield Span(at, q[:, :, at].to(wide), own_k, own_v, mask, poisoned)
