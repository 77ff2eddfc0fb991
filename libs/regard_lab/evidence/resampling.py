"""The two-level bootstrap: how far off a mean over seeds × items could be if both seeds and items were drawn anew.

Where all seeds are scored on the same items, seeds and items are drawn independently of each other (the pigeonhole
bootstrap, Owen 2007). n − 1 of n seeds are drawn, and m − 1 of m items, which makes the variance of a mean over either
alone unbiased (Rao and Wu 1988). Nothing is drawn here: over all draws the variance of the mean of x (n, m) is

    var(means of seeds) / n + var(means of items) / m + Σ (x − means of seeds − means of items + mean)² / (n (n − 1) m (m − 1))

It is conservative: each of the three terms holds the interaction of seeds and items once, where the variance of the mean
holds it once in all. Where interaction is all there is, it is three times too large, and intervals are wide.

The percentile interval of three seeds would be far too narrow, so the interval is Student's t with this error and
Satterthwaite's degrees of freedom. Where each seed has items of its own, the spread between the seeds' means already
includes that of the items, and the interval is over these means.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from regard_lab.evidence.statistics import CONFIDENCE, Interval, mean_interval, student, welch
from regard_lab.experiment.items import Outcomes


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


def two_level(seeds: Sequence[Outcomes], confidence: float = CONFIDENCE) -> Interval:
    """The mean over seeds and items with an interval over both.

    Args:
        seeds: The outcomes of each seed; for a comparison, those of `differences`. At least two, of at least two items
            each.
        confidence: The confidence of the interval.

    Raises:
        ValueError: Fewer than two seeds or items.
    """
    if len(seeds) < 2 or min(len(one.values) for one in seeds) < 2:
        raise ValueError(f"two levels need 2 seeds of 2 items, got {[len(one.values) for one in seeds]}")
    means = np.array([one.values.mean() for one in seeds])
    if not crossed(seeds):  # the spread of the seeds' means includes that of their items
        return mean_interval([float(mean) for mean in means], confidence)
    table = np.stack([one.values[np.argsort(one.numbers)] for one in seeds])
    items = table.shape[1]
    square, of_items = variance(table)
    error, freedom = welch([(square - of_items, len(seeds) - 1), (of_items, items - 1)])
    interval = student(float(means.mean()), error, freedom, len(seeds), confidence)
    return replace(interval, items=items, item_square=of_items)


def variance(table: NDArray[np.float64]) -> tuple[float, float]:
    """The variance of the mean of a table (seeds, items) over all draws of the bootstrap, and the part that is the items'."""
    seeds, items = table.shape
    of_seeds, of_items = table.mean(axis=1), table.mean(axis=0)
    rest = table - of_seeds[:, None] - of_items + table.mean()
    by_items = float(of_items.var(ddof=1)) / items
    pairs = seeds * (seeds - 1) * items * (items - 1)
    return float(of_seeds.var(ddof=1)) / seeds + by_items + float((rest**2).sum()) / pairs, by_items
