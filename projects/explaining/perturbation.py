"""Other weights, the same prediction? Jain and Wallace's permutations and adversaries, from their formulas."""

import math

import torch
from torch import Tensor

from projects.explaining.looked import Looked, mean
from projects.explaining.measures import jsd, positive, tvd
from projects.explaining.replacements import shuffled

ALLOWED = 0.05  # total variation of the prediction that an adversary may cause
AIMED = 0.01  # what its penalty begins at
PENALTY = 500.0
RATE = 0.01
NOISE = 3.0


@torch.no_grad()
def permutation(found: Looked, rows: Tensor, times: int, seed: int) -> float:
    """The median over shuffles of the prediction's total variation from that of the weights themselves, mean over texts. Special tokens stay."""
    free = found.seen.mask & ~found.special
    moved = shuffled(rows, free, times, torch.Generator().manual_seed(seed))
    after = torch.stack([found.probabilities(one) for one in moved])
    return mean(tvd(after, found.probabilities(rows)).median(0).values)


def adversary(found: Looked, rows: Tensor, count: int, steps: int, seed: int) -> float:
    """The largest JSD (mean over heads) of weights that move the prediction by no more than `ALLOWED`, mean over texts; 0 where none was found.

    `count` distributions a text start even, with noise in their logits, and climb JSD(adversary, weights) + their JSD from each other's
    mean, less `PENALTY` · max(0, change − `AIMED`), by Adam (amsgrad).
    """
    base, before = positive(rows), found.probabilities(rows).detach()
    mask = found.seen.mask[:, None]
    generator = torch.Generator().manual_seed(seed)
    start = NOISE * torch.randn(count, *rows.shape, generator=generator, dtype=torch.float64)
    logits = start.requires_grad_(True)
    optimiser = torch.optim.Adam([logits], lr=RATE, amsgrad=True)
    for _ in range(steps):
        optimiser.zero_grad()
        weights, distance, change = state(logits, mask, base, before, found)
        apart = jsd(weights, weights.mean(0, keepdim=True).detach()).mean(-1)
        loss = -(distance + apart).sum() + PENALTY * (change - AIMED).clamp(min=0).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        _, distance, change = state(logits, mask, base, before, found)
        best = torch.where(change <= ALLOWED, distance, 0).amax(0)
    return min(mean(best), math.log(2))


def state(logits: Tensor, mask: Tensor, base: Tensor, before: Tensor, found: Looked) -> tuple[Tensor, Tensor, Tensor]:
    """The adversaries' weights (k, t, h, m), their JSD from the base (k, t), and what they do to the prediction (k, t)."""
    weights = logits.masked_fill(~mask, -torch.inf).softmax(-1)
    after = found.probabilities(weights)
    return weights, jsd(weights, base).mean(-1), tvd(after, before)
