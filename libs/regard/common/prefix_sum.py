"""Prefix products: the sums over j ≤ i of causal linear attention, in chunks.

    out_i = Σ_{j ≤ i} (q_i · k_j) v_j                                   or, with log weights g,
    out_i = Σ_{j ≤ i} exp(g_j − max_{l ≤ i} g_l) (q_i · k_j) v_j

A triangle inside each chunk, one state per chunk between them: time O(n (chunk + d) e), memory O(n (chunk + d e /
chunk)), never n d e. The weights are relative to the largest so far, so that a later key, however large, changes no
earlier row, not even by rounding. `extend_prefix_sum` takes the sequence span by span (`regard.common.chunking`), so
that features of all tokens are never in memory at once.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class PrefixState(NamedTuple):
    """The sums over earlier rows `(b, h, d, e)`.

    They are relative to the largest log weight there, `(b, h)`.
    """

    sums: Tensor
    largest: Tensor | None = None


def prefix_sum(q: Tensor, k: Tensor, v: Tensor, *, log_weight: Tensor | None = None, chunk: int = 64) -> Tensor:
    """q, k (b, h, n, d), v (b, h, n, e), `log_weight` (b, h, n), −inf = left out -> (b, h, n, e).

    `log_weight` is a constant to autograd. `chunk` trades a triangle of chunk² against n / chunk states of (d, e); the
    result is the same.
    """
    return v if q.shape[2] == 0 else extend_prefix_sum(None, q, k, v, log_weight=log_weight, chunk=chunk)[0]


def extend_prefix_sum(
    past: PrefixState | None, q: Tensor, k: Tensor, v: Tensor, *, log_weight: Tensor | None = None, chunk: int = 64
) -> tuple[Tensor, PrefixState]:
    """`prefix_sum` of n ≥ 1 rows that follow others, and the state before the next rows."""
    n = q.shape[2]
    chunk = chunk if torch.compiler.is_compiling() else min(chunk, n)
    padding = -n % chunk
    folded = (*q.shape[:2], (n + padding) // chunk, chunk)  # b h s chunk
    q, k, v = (_folded(x, padding, folded) for x in (q, k, v))
    state = q.new_zeros(*q.shape[:2], q.shape[-1], v.shape[-1]) if past is None else past.sums
    before: list[Tensor] = []
    if log_weight is None:
        if torch.compiler.is_compiling():  # a loop would make one graph for each number of chunks
            # Not `cumsum`: CUDA has no deterministic form of it for floats.
            sums = faded_sums(state, k.mT @ v, q.new_zeros(*q.shape[:2], 1 + folded[2]))
            rows = (q @ k.mT).tril() @ v + q @ sums[:, :, :-1]
            return rows.flatten(2, 3)[:, :, :n], PrefixState(sums[:, :, -1])
        for own in (k.mT @ v).unbind(2):  # b h d e
            before.append(state)
            state = state + own
        rows = (q @ k.mT).tril() @ v + q @ torch.stack(before, 2)
        return rows.flatten(2, 3)[:, :, :n], PrefixState(state)
    lowest = torch.finfo(log_weight.dtype).min
    weight = F.pad(log_weight.detach(), (0, padding), value=-torch.inf)
    start = torch.full_like(weight[:, :, 0], lowest) if past is None or past.largest is None else past.largest
    largest = torch.maximum(weight.cummax(2).values, start[:, :, None])  # b h n, at and before each row
    weight, largest = weight.reshape(folded), largest.reshape(folded)
    last = largest[..., -1]  # b h s
    future = torch.ones(chunk, chunk, dtype=torch.bool, device=q.device).triu(1)
    decay = (weight[..., None, :] - largest[..., :, None]).masked_fill(future, -torch.inf).exp()
    # A state is relative to the largest weight up to its chunk's end: `earlier` for the state before a chunk.
    earlier = torch.cat((start[:, :, None], last[:, :, :-1]), 2)
    added = (k * (weight - last[..., None]).exp()[..., None]).mT @ v  # b h s d e
    faded = q * (earlier[..., None] - largest).exp()[..., None]
    if torch.compiler.is_compiling():
        states = faded_sums(state, added, torch.cat((start[:, :, None], last), 2))
        rows = (q @ k.mT * decay) @ v + faded @ states[:, :, :-1]
        return rows.flatten(2, 3)[:, :, :n], PrefixState(states[:, :, -1], last[:, :, -1])
    fading = (earlier - last).exp()[..., None, None]
    for fade, own in zip(fading.unbind(2), added.unbind(2), strict=True):
        before.append(state)
        state = torch.addcmul(own, state, fade)
    rows = (q @ k.mT * decay) @ v + faded @ torch.stack(before, 2)
    return rows.flatten(2, 3)[:, :, :n], PrefixState(state, last[:, :, -1])


def faded_sums(state: Tensor, added: Tensor, level: Tensor) -> Tensor:
    """All states of a fading sum at once, by one product of triangles: for compiled graphs, where a loop is unrolled.

        states_0 = state        states_s = states_{s−1} exp(level_{s−1} − level_s) + added_s

    Args:
        state: The state before the first, `(b, h, d, e)`.
        added: `(b, h, s, d, e)`.
        level: Never falls, `(b, h, 1 + s)`.

    Returns:
        `(b, h, 1 + s, d, e)`.
    """
    both = torch.cat((state[:, :, None], added), 2)
    future = torch.ones_like(level[0, 0]).bool()[:, None] & torch.ones_like(level[0, 0]).bool()
    decay = (level[:, :, None, :] - level[..., None]).masked_fill(future.triu(1), -torch.inf).exp()
    return (decay @ both.flatten(3)).reshape(both.shape)


def _folded(x: Tensor, padding: int, shape: tuple[int, ...]) -> Tensor:
    return (F.pad(x, (0, 0, 0, padding)) if torch.compiler.is_compiling() or padding else x).reshape(
        *shape, x.shape[-1]
    )
