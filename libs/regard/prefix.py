"""Prefix products: the sums over j ≤ i of causal linear attention, in chunks.

    out_i = Σ_{j ≤ i} (q_i · k_j) v_j                                   or, with log weights g,
    out_i = Σ_{j ≤ i} exp(g_j − max_{l ≤ i} g_l) (q_i · k_j) v_j

A triangle inside each chunk, one state a chunk between them: time O(n (chunk + d) e), memory O(n (chunk + d e / chunk)), never n d e.
The weights are relative to the largest so far, so that a later key, however large, changes no earlier row, not even by rounding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def prefix_product(q: Tensor, k: Tensor, v: Tensor, *, log_weight: Tensor | None = None, chunk: int = 64) -> Tensor:
    """q, k (b, h, n, d), v (b, h, n, e), `log_weight` (b, h, n), −inf = left out -> (b, h, n, e).

    `log_weight` is a constant to autograd. `chunk` trades a triangle of chunk² against n / chunk states of (d, e); the result is the same.
    """
    n = q.shape[2]
    if n == 0:
        return v
    chunk = min(chunk, n)
    padding = -n % chunk
    folded = (*q.shape[:2], (n + padding) // chunk, chunk)  # b h s chunk
    q, k, v = (F.pad(x, (0, 0, 0, padding)).reshape(*folded, x.shape[-1]) for x in (q, k, v))
    if log_weight is None:
        within = (q @ k.mT).tril() @ v
        states = (k.mT @ v).cumsum(2)  # b h s d e, up to and with each chunk
        before = F.pad(states, (0, 0, 0, 0, 1, 0))[:, :, :-1]
        return (within + q @ before).flatten(2, 3)[:, :, :n]
    weight = F.pad(log_weight.detach(), (0, padding), value=-torch.inf)
    largest = weight.cummax(2).values.clamp(min=torch.finfo(weight.dtype).min)  # b h n, at and before each row
    weight, largest = weight.reshape(folded), largest.reshape(folded)
    last = largest[..., -1]  # b h s
    future = torch.ones(chunk, chunk, dtype=torch.bool, device=q.device).triu(1)
    decay = (weight[..., None, :] - largest[..., :, None]).masked_fill(future, -torch.inf).exp()
    within = (q @ k.mT * decay) @ v
    added = (k * (weight - last[..., None]).exp()[..., None]).mT @ v  # b h s d e
    # A state is relative to the largest weight up to its chunk's end: `earlier` for the state before a chunk.
    earlier = F.pad(last, (1, 0), value=torch.finfo(weight.dtype).min)[..., :-1]
    state = torch.zeros_like(added[:, :, 0])
    before_each: list[Tensor] = []
    fading = (earlier - last).exp()
    for index in range(added.shape[2]):
        before_each.append(state)
        state = state * fading[:, :, index, None, None] + added[:, :, index]
    faded = q * (earlier[..., None] - largest).exp()[..., None]
    return (within + faded @ torch.stack(before_each, 2)).flatten(2, 3)[:, :, :n]
