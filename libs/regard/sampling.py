"""Random key indices that need no storage: a hash of (seed, query, draw) in place of a generator.

A table drawn once would have to be as long as the longest input, and a generator gives other numbers at every length. A hash gives query i the same
draws at any length and in any batch, so that evaluation repeats itself and a padded row has the sample of its unpadded run.
"""

import math

import torch
from torch import Tensor

LOW_32_BITS = 0xFFFFFFFF


def count_drawn(length: int, factor: int) -> int:
    """factor ⌈ln length⌉, at most `length`, as Informer has it; 0 for a length of 0 or 1."""
    return min(length, factor * math.ceil(math.log(max(1, length))))


def counts_drawn(lengths: Tensor, factor: int) -> Tensor:
    """`count_drawn` of every entry of an integer tensor."""
    return torch.minimum(lengths, factor * lengths.clamp(min=1).double().log().ceil().long())


def sample_keys(
    n: int,
    m: int,
    factor: int,
    *,
    seed: Tensor,
    key_mask: Tensor | None = None,
    query_mask: Tensor | None = None,
) -> Tensor:
    """For each of n queries U = max(1, factor ⌈ln m⌉) ≤ m key indices below m, with replacement: (n, U), or with masks (b, n, U).

    Draw s of query i is ⌊m x⌋ with x = hash(seed, i, s) in [0, 1); `seed` is an integer tensor (). With `key_mask` (b, m) and `query_mask` (b, n),
    True = keep, i, m and the index count real tokens only, as if the row were not padded; −1 stands where the unpadded run draws nothing.
    """
    columns = torch.arange(max(1, count_drawn(m, factor)), device=seed.device)
    rows = torch.arange(n, device=seed.device)
    if query_mask is not None:
        rows = (query_mask.cumsum(1) - 1).clamp(min=0)  # b n: the rank of each query among the real ones
    mixed_rows = scramble(rows ^ scramble(seed + 0x9E3779B9))
    hashes = scramble(mixed_rows[..., None] + columns)  # (b) n U, uniform in 32 bits
    if key_mask is None:
        return (hashes * m) >> 32
    real = key_mask.sum(1)[:, None, None]
    ranks = (hashes * real) >> 32  # b n U
    position = torch.argsort((~key_mask).int(), dim=1, stable=True)  # b m: where the j-th real key stands
    indices = position.take_along_dim(ranks.flatten(1), 1).view_as(ranks)
    return indices.masked_fill(columns >= counts_drawn(real, factor).clamp(min=1), -1)


def scramble(x: Tensor) -> Tensor:
    """A bijection of 32 bits (held in 64) that leaves no pattern of its argument: the final mixing of MurmurHash3."""
    x = x & LOW_32_BITS
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & LOW_32_BITS
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & LOW_32_BITS
    return x ^ (x >> 16)
