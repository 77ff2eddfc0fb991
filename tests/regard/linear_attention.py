"""A mechanism as a user writes one, in a file of their own: linear attention (Katharopoulos et al. 2020, equations 5 and 9).

out_i = φ(q_i)ᵀ Σ_j φ(k_j) v_jᵀ / φ(q_i)ᵀ Σ_j φ(k_j)        φ(x) = elu(x) + 1        over every key, or over j ≤ i when causal
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.attention import Attention
from regard.common.nonfinite import zero_nonfinite_causal
from regard.common.patterns import ALL_PATTERNS, zero_masked
from regard.registry import mechanism


def feature_map(x: Tensor) -> Tensor:
    """φ(x) > 0, elementwise."""
    return F.elu(x) + 1


def naive_linear(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, key_mask: Tensor | None = None) -> Tensor:
    """The definition, with its n × m matrix in full."""
    weights = feature_map(q) @ feature_map(k).mT  # b h n m
    if key_mask is not None:
        weights = weights.masked_fill(~key_mask[:, None, None, :], 0)
        v = v.masked_fill(~key_mask[:, None, :, None], 0)
    if causal:
        weights = weights.tril()
    total = weights.sum(-1, keepdim=True)
    return torch.where(total > 0, weights @ v / total, 0)


def linear(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, key_mask: Tensor | None = None) -> Tensor:
    """q (b, h, n, d), k (b, h, m, d), v (b, h, m, e) -> (b, h, n, e); time O(n d e)."""
    k, v = zero_masked(k, key_mask), zero_masked(v, key_mask)
    poisoned = None
    if causal:  # a later NaN stays out of earlier rows
        k, v, poisoned = zero_nonfinite_causal(k, v)
    q, k = feature_map(q), zero_masked(feature_map(k), key_mask)
    v = F.pad(v, (0, 1), value=1)  # the last value column sums to the denominator
    summed = prefix_product(q, k, v) if causal else q @ (k.mT @ v)
    numerator, total = summed[..., :-1], summed[..., -1:]
    out = numerator / total.masked_fill(total == 0, 1)
    return out if poisoned is None else out.masked_fill(poisoned, torch.nan)


def prefix_product(q: Tensor, k: Tensor, v: Tensor, chunk: int = 16) -> Tensor:
    """Σ_{j ≤ i} (q_i · k_j) v_j for every i: a triangle inside each chunk, a running state between chunks."""
    n = q.shape[2]
    q, k, v = (F.pad(t, (0, 0, 0, -n % chunk)).unflatten(2, (-1, chunk)) for t in (q, k, v))  # b h s c ·
    within = (q @ k.mT).tril() @ v
    states = (k.mT @ v).cumsum(2)  # b h s d e, up to and with each chunk
    before = F.pad(states, (0, 0, 0, 0, 1, 0))[:, :, :-1]
    return (within + q @ before).flatten(2, 3)[:, :, :n]


@mechanism("linear", patterns=ALL_PATTERNS, paper="Katharopoulos et al. 2020")
class LinearAttention(Attention):
    """Multi-head linear attention."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return linear(q, k, v, causal=self.causal, key_mask=key_mask)
