"""Distances and agreements, as the studies of attention as explanation define them.

jsd      Jensen–Shannon divergence in nats, 0 … ln 2                        (Jain & Wallace)
tvd      half the sum of |p − q| over classes, 0 … 1; for two classes it is the change of one's probability |Δy|. A total
         variation of one sigmoid output, as some released code has it, is half of this          (Wiegreffe & Pinter)
flips    does the likeliest class change?                                    (Serrano & Smith)
kendall  Kendall's τ-b over the real tokens of a text, and its p
"""

import torch
from scipy import stats
from torch import Tensor


def jsd(p: Tensor, q: Tensor) -> Tensor:
    """Of distributions (…, m) -> (…)."""
    middle = (p + q) / 2
    return ((kl(p, middle) + kl(q, middle)) / 2).clamp(min=0)


def kl(p: Tensor, q: Tensor) -> Tensor:
    """Σ p log(p / q), 0 where p is 0."""
    return torch.where(p > 0, p * (p.clamp(min=1e-300) / q.clamp(min=1e-300)).log(), 0).sum(-1)


def tvd(p: Tensor, q: Tensor) -> Tensor:
    """Of distributions over classes (…, c) -> (…)."""
    return (p - q).abs().sum(-1) / 2


def flips(p: Tensor, q: Tensor) -> Tensor:
    """Boolean (…)."""
    return p.argmax(-1) != q.argmax(-1)


def kendall(a: Tensor, b: Tensor, mask: Tensor) -> tuple[float, float]:
    """τ-b and p of one text: a, b and mask (m). Where one of them is the same for all tokens there is no order: τ = 0, p = 1."""
    found = stats.kendalltau(a[mask].numpy(), b[mask].numpy())
    tau, p = float(found.statistic), float(found.pvalue)
    return (tau, p) if tau == tau else (0.0, 1.0)


def positive(weights: Tensor) -> Tensor:
    """Weights as a distribution: without negative entries, made to sum to 1; one without a positive entry is nothing."""
    kept = weights.clamp(min=0)
    return kept / kept.sum(-1, keepdim=True).clamp(min=1e-300)
