"""SMYRF the straightforward way, to time the library's against: each step of the formulas a tensor operation of its own, all rounds at once.

Transform, hash, sort; gather the clusters of every round; store their scores, log-sum-exps and weights; put the outputs
back in place; weigh the rounds by the softmax of their log-sum-exps. Written from the formulas
(`regard.mechanisms.smyrf`), with nothing done against good sense.
"""

import torch
from torch import Tensor


def straightforward_smyrf(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    cluster_size: int,
    directions: Tensor,
    scale: float | None = None,
    causal: bool = False,
) -> Tensor:
    """q (b, h, n, d), k (b, h, n, d), v (b, h, n, e), `directions` (d + 2, r) -> (b, h, n, e), as `regard.functional.smyrf`.

    No masks, no causal form; raises ValueError unless k has as many tokens as q and `cluster_size` divides their number.
    """
    if causal:
        raise ValueError("there is no straightforward form of causal SMYRF")
    (n, d), e, rounds = q.shape[2:], v.shape[3], directions.shape[1]
    if k.shape[2] != n or n % cluster_size:
        raise ValueError(f"needs n = m, a multiple of cluster_size = {cluster_size}, got n = {n} and m = {k.shape[2]}")
    q_squared, k_squared = q.square().sum(-1, keepdim=True), k.square().sum(-1, keepdim=True)
    largest = q_squared.amax(2, keepdim=True) + k_squared.amax(2, keepdim=True)  # M_Q² + M_K²
    F = torch.cat([q, torch.zeros_like(q_squared), (largest - q_squared).sqrt()], -1)
    G = torch.cat([k, (largest - k_squared).sqrt(), torch.zeros_like(k_squared)], -1)
    q_order, k_order = ((x @ directions).movedim(-1, 0).argsort(-1) for x in (F, G))  # r b h n

    def clustered(x: Tensor, order: Tensor) -> Tensor:  # b h n · -> r b h c C ·
        index = order[..., None].expand(-1, -1, -1, -1, x.shape[-1])
        return x.expand(rounds, *x.shape).gather(3, index).unflatten(3, (n // cluster_size, cluster_size))

    queries, keys, values = clustered(q, q_order), clustered(k, k_order), clustered(v, k_order)
    scores = queries @ keys.mT * (d**-0.5 if scale is None else scale)  # r b h c C C
    lse = scores.logsumexp(-1)
    out = (scores.softmax(-1) @ values).flatten(3, 4)  # r b h n e
    back = q_order.argsort(-1)
    out = out.gather(3, back[..., None].expand(-1, -1, -1, -1, e))
    weights = lse.flatten(3).gather(3, back).softmax(0)
    return (weights[..., None] * out).sum(0)
