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
    """Jensen–Shannon divergence of distributions `(…, m)`, in nats: `(…)`."""
    middle = (p + q) / 2
    return ((kl(p, middle) + kl(q, middle)) / 2).clamp(min=0)


def kl(p: Tensor, q: Tensor) -> Tensor:
    """Σ p log(p / q), 0 where p is 0."""
    return torch.where(p > 0, p * (p.clamp(min=1e-300) / q.clamp(min=1e-300)).log(), 0).sum(-1)


def tvd(p: Tensor, q: Tensor) -> Tensor:
    """Total variation of distributions over classes `(…, c)`: `(…)`."""
    return (p - q).abs().sum(-1) / 2


def flips(p: Tensor, q: Tensor) -> Tensor:
    """Where the likeliest classes of `(…, c)` differ: boolean `(…)`."""
    return p.argmax(-1) != q.argmax(-1)


def kendall(a: Tensor, b: Tensor, mask: Tensor) -> tuple[float, float]:
    """Kendall's τ-b of two importances of one text, and its p. Where one of them is the same for all tokens there is no order: τ = 0, p = 1.

    Args:
        a: `(m)`.
        b: `(m)`.
        mask: `(m)`, True for the tokens that count.
    """
    outcome = stats.kendalltau(a[mask].cpu().numpy(), b[mask].cpu().numpy())
    tau, p = float(outcome.statistic), float(outcome.pvalue)
    return (tau, p) if tau == tau else (0.0, 1.0)


def positive(weights: Tensor) -> Tensor:
    """Weights as a distribution: without negative entries, made to sum to 1; all 0 where no entry is positive."""
    kept = weights.clamp(min=0)
    return kept / kept.sum(-1, keepdim=True).clamp(min=1e-300)
