"""The two-level bootstrap: how far a mean over seeds × items could be off, if both seeds and items are drawn anew.

Where all seeds are scored on the same items, seeds and items are drawn independently of each other (the pigeonhole
bootstrap, Owen 2007). n − 1 of n seeds are drawn, and m − 1 of m items, which makes the variance of a mean unbiased
(Rao and Wu 1988); the percentile interval of three seeds would be far too narrow, so the interval is Student's t with
the bootstrap's error and Satterthwaite's degrees of freedom. Where each seed has items of its own, the spread between
the seeds' means holds that of the items already, and the interval is over these means.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from regard_lab.evidence.statistics import CONFIDENCE, Interval, mean_interval, student, welch
from regard_lab.experiment.items import Outcomes

DRAWS = 4000
SEED = 20_261_130  # of the draws; the same evidence always gives the same interval


def differences(a: Sequence[Outcomes], b: Sequence[Outcomes]) -> list[Outcomes]:
    """a − b for each seed, over the items that both were scored on."""
    pairs = []
    for ours, theirs in zip(a, b, strict=True):
        shared, i, j = np.intersect1d(ours.numbers, theirs.numbers, assume_unique=True, return_indices=True)
        if not len(shared):
            raise ValueError("two rows share no test item")
        pairs.append(Outcomes(ours.values[i] - theirs.values[j], shared))
    return pairs


def crossed(seeds: Sequence[Outcomes]) -> bool:
    """Is every seed scored on the same items?"""
    return all(np.array_equal(np.sort(one.numbers), np.sort(seeds[0].numbers)) for one in seeds)


def two_level(seeds: Sequence[Outcomes], confidence: float = CONFIDENCE, draws: int = DRAWS) -> Interval:
    """The mean over seeds and items with an interval over both.

    Args:
        seeds: The outcomes of each seed; for a comparison, those of `differences`. At least two, of at least two items
            each.
        confidence: That of the interval.
        draws: How many bootstrap samples.

    Raises:
        ValueError: Fewer than two seeds or items.
    """
    if len(seeds) < 2 or min(len(one.values) for one in seeds) < 2:
        raise ValueError(f"two levels need 2 seeds of 2 items, got {[len(one.values) for one in seeds]}")
    means = np.array([one.values.mean() for one in seeds])
    if not crossed(seeds):  # the spread of the seeds' means holds that of their items
        return mean_interval([float(mean) for mean in means], confidence)
    table = np.stack([one.values[np.argsort(one.numbers)] for one in seeds])
    items = table.shape[1]
    square = float(_resampled(table, draws).var())
    of_items = min(float(table.mean(axis=0).var(ddof=1)) / items, square)
    error, freedom = welch([(square - of_items, len(seeds) - 1), (of_items, items - 1)])
    interval = student(float(means.mean()), error, freedom, len(seeds), confidence)
    return replace(interval, items=items, item_square=of_items)


def _weights(random: np.random.Generator, n: int, draws: int) -> NDArray[np.float64]:
    """How often each of n is drawn, when n − 1 are drawn with replacement, as shares."""
    return random.multinomial(n - 1, np.full(n, 1 / n), size=draws) / (n - 1)


def _resampled(table: NDArray[np.float64], draws: int) -> NDArray[np.float64]:
    """Means of bootstrap samples of a table (seeds, items)."""
    random = np.random.default_rng(SEED)
    seeds, items = table.shape
    drawn = np.empty(draws)
    for start in range(0, draws, 250):  # so that the weights of 25,000 items fit into memory
        count = min(250, draws - start)
        by_seed = _weights(random, items, count) @ table.T
        drawn[start : start + count] = (by_seed * _weights(random, seeds, count)).sum(axis=1)
    return drawn
