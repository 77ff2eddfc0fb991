"""The statistics behind the claims: intervals, paired and unpaired differences, equivalence, exponents, trends.

Everything is Student's t, two-sided intervals, from `scipy.stats`. Samples of equal values have an interval of width 0, not NaN.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its two-sided confidence interval; `error` is its standard error, `freedom` its degrees of freedom."""

    estimate: float
    low: float
    high: float
    confidence: float
    error: float
    freedom: float
    n: int

    def within(self, low: float, high: float) -> bool:
        """Is the whole interval inside [low, high]?"""
        return low <= self.low and self.high <= high

    def outside(self, low: float, high: float) -> bool:
        """Does the interval share no point with [low, high]?"""
        return self.high < low or self.low > high


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests. `p` is the larger of both; `interval` has confidence 1 − 2 α, so it lies within ± margin iff p < α."""

    interval: Interval
    p: float


@dataclass(frozen=True)
class Trend:
    """`steps` are the differences between neighbours, at a confidence that holds for all of them together; `tau` is Kendall's τ-b."""

    steps: list[Interval]
    tau: float


def student(estimate: float, error: float, freedom: float, n: int, confidence: float) -> Interval:
    """estimate ± t · error."""
    reach = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    return Interval(estimate, estimate - reach, estimate + reach, confidence, error, freedom, n)


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The mean of at least two values."""
    n = len(values)
    if n < 2:
        raise ValueError(f"an interval needs at least 2 values, got {n}")
    return student(float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(n), n - 1, n, confidence)


def paired_difference(a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The mean of a_i − b_i."""
    return mean_interval([x - y for x, y in zip(a, b, strict=True)], confidence)


def unpaired_difference(a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """mean(a) − mean(b) without the assumption of equal variances (Welch). `n` is the smaller sample."""
    if min(len(a), len(b)) < 2:
        raise ValueError(f"an interval needs at least 2 values on each side, got {len(a)} and {len(b)}")
    squares = [float(np.var(side, ddof=1)) / len(side) for side in (a, b)]
    error = math.sqrt(sum(squares))
    spread = sum(square**2 / (len(side) - 1) for square, side in zip(squares, (a, b), strict=True))
    freedom = error**4 / spread if spread > 0 else len(a) + len(b) - 2
    return student(float(np.mean(a) - np.mean(b)), error, freedom, min(len(a), len(b)), confidence)


def relative_gain(a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The mean of 100 · (a_i − b_i) / |b_i|, in per cent; no b_i may be 0."""
    return mean_interval([100 * (x - y) / abs(y) for x, y in zip(a, b, strict=True)], confidence)


def equivalence(a: Sequence[float], b: Sequence[float], margin: float, paired: bool = True) -> Equivalence:
    """Two one-sided tests of |mean(a) − mean(b)| < margin at α = 1 − `CONFIDENCE` (Schuirmann 1987)."""
    if margin <= 0:
        raise ValueError(f"a margin is positive, got {margin}")
    confidence = 2 * CONFIDENCE - 1
    interval = paired_difference(a, b, confidence) if paired else unpaired_difference(a, b, confidence)
    room = margin - abs(interval.estimate)  # to the nearer limit, whose test has the larger p
    if interval.error == 0:
        return Equivalence(interval, 0.0 if room >= 0 else 1.0)  # the limit counts as inside, as in `Interval.within`
    return Equivalence(interval, float(stats.t.sf(room / interval.error, interval.freedom)))


def exponent(x: Sequence[float], y: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The slope of log y over log x by least squares: y ∝ x^slope. At least three different x, all values positive."""
    if len(set(x)) < 3:
        raise ValueError(f"an exponent with an interval needs at least 3 different x, got {len(set(x))}")
    if min(*x, *y) <= 0:
        raise ValueError(f"an exponent needs positive values, got {min(*x, *y)}")
    fit = stats.linregress(np.log(x), np.log(y))
    return student(float(fit.slope), float(fit.stderr), len(x) - 2, len(x), confidence)


def trend(groups: Sequence[Sequence[float]], paired: bool = True, confidence: float = CONFIDENCE) -> Trend:
    """Differences between neighbouring groups, later minus earlier, at 1 − (1 − confidence) / steps each (Bonferroni)."""
    if len(groups) < 2:
        raise ValueError(f"a trend needs at least 2 groups, got {len(groups)}")
    per_step = 1 - (1 - confidence) / (len(groups) - 1)
    difference = paired_difference if paired else unpaired_difference
    steps = [difference(later, earlier, per_step) for earlier, later in itertools.pairwise(groups)]
    order = [float(i) for i, group in enumerate(groups) for _ in group]
    tau = float(stats.kendalltau(order, [value for group in groups for value in group]).statistic)
    return Trend(steps, 0.0 if math.isnan(tau) else tau)
