"""Which subwords of a window are asked for, and what stands in their place."""

import math

import torch
from torch import Tensor

from regard_lab.data.subwords import BEGIN, SPECIAL

MASK = BEGIN  # running text has no beginnings of sentences, so that their subword is free
HIDDEN, REPLACED = 0.8, 0.1  # of those that are asked for; the rest stays (Devlin et al. 2019)


def masked(
    windows: Tensor, share: float, vocabulary: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Windows as a model sees them, and the places that it is asked for.

    Args:
        windows: `(b, n)`, int64.
        share: The share of a window's subwords that are asked for, the same number in each.
        vocabulary: Subwords that stand in at random are drawn from it, special ones excepted.
        generator: Of the draws. Default: torch's own.

    Returns:
        `(b, n)` and `(b, k)`, both int64.
    """
    b, n = windows.shape
    noise = torch.rand(b, n, generator=generator, device=windows.device)
    chosen = noise.argsort(1)[:, : masked_count(n, share)].sort(1).values
    fate = torch.rand(chosen.shape, generator=generator, device=windows.device)
    other = torch.randint(len(SPECIAL), vocabulary, chosen.shape, generator=generator, device=windows.device)
    there = windows.gather(1, chosen)
    shown = torch.where(fate < HIDDEN, MASK, torch.where(fate < HIDDEN + REPLACED, other, there))
    return windows.scatter(1, chosen, shown), chosen


def masked_count(length: int, share: float) -> int:
    """How many subwords of a window are asked for: at least one."""
    return max(1, math.floor(share * length))
