"""The statistics behind the claims: intervals, differences, the rule by which they decide, trends, ranks, corrections.

Intervals are two-sided and Student's t, from `scipy.stats`. Samples of equal values have an interval of width 0, not
NaN. An interval of a quantity with a limited range is computed on a scale without limits (logit, or log if one end is
open) by the delta method, so it stays within the range.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

LEVEL = 0.05  # of every test; superiority and bounds are two-sided, an equivalence is two one-sided tests
CONFIDENCE = 1 - LEVEL
EQUIVALENCE_CONFIDENCE = (
    1 - 2 * LEVEL
)  # lies within ± margin iff both one-sided tests reject at `LEVEL` (Schuirmann 1987)


@dataclass(frozen=True)
class Range:
    """The least and the largest value that a quantity can have; either may be infinite."""

    low: float = -math.inf
    high: float = math.inf

    def free(self, value: float) -> float:
        """The value on a scale without limits: logit, log, or itself; an end is infinite."""
        below, above = value - self.low, self.high - value
        if math.isinf(below) and math.isinf(above):
            return value
        if below <= 0:
            return -math.inf
        if above <= 0:
            return math.inf
        if math.isinf(above):
            return math.log(below)
        if math.isinf(below):
            return -math.log(above)
        return math.log(below / above)

    def slope(self, value: float) -> float:
        """The derivative of `free`."""
        below, above = value - self.low, self.high - value
        if math.isinf(below) and math.isinf(above):
            return 1.0
        return (0.0 if math.isinf(below) else 1 / below) + (0.0 if math.isinf(above) else 1 / above)

    def back(self, free: float) -> float:
        """The value of a number on the scale without limits."""
        if math.isinf(self.low) and math.isinf(self.high):
            return free
        if math.isinf(self.high):
            return self.low + math.exp(free)
        if math.isinf(self.low):
            return self.high - math.exp(-free)
        return self.low + (self.high - self.low) / (1 + math.exp(-free))

    def inside(self, value: float) -> bool:
        """Is the value strictly between the ends?"""
        return self.low < value < self.high


ANYTHING = Range()


@dataclass(frozen=True)
class Interval:
    """An estimate with its two-sided confidence interval.

    Attributes:
        estimate: In the quantity's own unit.
        low: Its lower end.
        high: Its upper end.
        confidence: Between 0 and 1.
        error: The standard error, on the scale of `range`.
        freedom: Its degrees of freedom.
        n: How many values the estimate rests on.
        range: The range to which the quantity is limited.
        items: How many test items all seeds share, where their error is part of `error`; else 0.
        item_square: That part, squared.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    error: float
    freedom: float
    n: int
    range: Range = ANYTHING
    items: int = 0
    item_square: float = 0.0

    def within(self, low: float, high: float) -> bool:
        """Is the whole interval inside [low, high]?"""
        return low <= self.low and self.high <= high

    def outside(self, low: float, high: float) -> bool:
        """Does the interval share no point with [low, high]?"""
        return self.high < low or self.low > high

    def p_above(self, limit: float) -> float:
        """One-sided p for the statement that the true value is above `limit`."""
        return self._p(self.range.free(self.estimate) - self.range.free(limit), self.estimate >= limit)

    def p_below(self, limit: float) -> float:
        """One-sided p for the statement that the true value is below `limit`."""
        return self._p(self.range.free(limit) - self.range.free(self.estimate), self.estimate <= limit)

    def _p(self, lead: float, sure: bool) -> float:
        if self.error == 0 or math.isnan(lead):
            return 0.0 if sure else 1.0
        return float(stats.t.sf(lead / self.error, self.freedom))


@dataclass(frozen=True)
class Decision:
    """The interval by which a claim was decided.

    Attributes:
        interval: The one that is shown.
        p: The p of the verdict to which the data point; the verdict is `inside` or `outside` iff p is at most `LEVEL`.
        p_inside: The p of the claim, as its test is usually reported.
        inside: Does the whole interval lie within what the claim allows?
        outside: Does no part of it?
    """

    interval: Interval
    p: float
    p_inside: float
    inside: bool
    outside: bool


@dataclass(frozen=True)
class Trend:
    """The slope of a quantity over the logarithm to base 2 of another.

    `page`: the p of Page's test for ordered rows, `None` for fewer than three rows or for unpaired ones.
    """

    slope: Interval
    page: float | None


@dataclass(frozen=True)
class Rank:
    """A row's rank among `of` rows, 1 for the best.

    Attributes:
        rank: The rank by the means.
        best: The best rank that cannot be excluded at `LEVEL`, with Holm's correction over all rivals (Mogstad et al.
            2023).
        worst: The worst such rank.
        of: How many rows there are.
        ahead: The corrected p of each rival whose mean is higher, the smallest first.
        behind: The corrected p of each rival whose mean is lower.
    """

    rank: int
    best: int
    worst: int
    of: int
    ahead: list[float]
    behind: list[float]

    def p(self, least: int, most: int) -> float:
        """The p of what the data point to: that the rank is from `least` to `most`, or that it is not; at most `LEVEL` iff they decide it."""
        inside = max(_nth(self.behind, self.of - most), _nth(self.ahead, least - 1))
        outside = min(_nth(self.ahead, most), _nth(self.behind, self.of - least + 1))
        return min(inside, outside)


def _nth(ps: Sequence[float], count: int) -> float:
    """The p of the statement that so many of the tests would reject."""
    return 0.0 if count <= 0 else ps[count - 1] if count <= len(ps) else 1.0


def student(
    estimate: float, error: float, freedom: float, n: int, confidence: float, within: Range = ANYTHING
) -> Interval:
    """estimate ± t · error; `error` in the estimate's own unit. Within a range, on its scale by the delta method."""
    reach = float(stats.t.ppf((1 + confidence) / 2, freedom))
    if error == 0:
        return Interval(estimate, estimate, estimate, confidence, 0.0, freedom, n, within)
    if not within.inside(estimate):
        within = ANYTHING  # outside its range, or at its end with a spread: rounding, which the scale without limits cannot take
    scaled, centre = error * within.slope(estimate), within.free(estimate)
    ends = within.back(centre - reach * scaled), within.back(centre + reach * scaled)
    return Interval(estimate, *ends, confidence, scaled, freedom, n, within)


def again(interval: Interval, confidence: float) -> Interval:
    """The same interval at another confidence."""
    reach = float(stats.t.ppf((1 + confidence) / 2, interval.freedom)) * interval.error
    if reach == 0:
        return replace(interval, confidence=confidence)
    centre = interval.range.free(interval.estimate)
    ends = interval.range.back(centre - reach), interval.range.back(centre + reach)
    return replace(interval, low=ends[0], high=ends[1], confidence=confidence)


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE, within: Range = ANYTHING) -> Interval:
    """The mean of at least two values."""
    n = len(values)
    if n < 2:
        raise ValueError(f"an interval needs at least 2 values, got {n}")
    error = float(np.std(values, ddof=1)) / math.sqrt(n)
    return student(float(np.mean(values)), error, n - 1, n, confidence, within)


def paired_difference(a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The mean of a_i − b_i."""
    return mean_interval([x - y for x, y in zip(a, b, strict=True)], confidence)


def unpaired_difference(a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """mean(a) − mean(b) without the assumption of equal variances (Welch). `n` is the smaller sample."""
    if min(len(a), len(b)) < 2:
        raise ValueError(f"an interval needs at least 2 values on each side, got {len(a)} and {len(b)}")
    squares = [float(np.var(side, ddof=1)) / len(side) for side in (a, b)]
    error, freedom = welch([(square, len(side) - 1) for square, side in zip(squares, (a, b), strict=True)])
    return student(float(np.mean(a) - np.mean(b)), error, freedom, min(len(a), len(b)), confidence)


def welch(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The error of a sum of independent parts, each a squared error with its degrees of freedom, and its own (Satterthwaite 1946)."""
    total = math.fsum(square for square, _ in parts)
    spread = math.fsum(square**2 / freedom for square, freedom in parts)
    return math.sqrt(total), total**2 / spread if spread > 0 else math.fsum(freedom for _, freedom in parts)


def relative_change(a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The mean of 100 · (a_i − b_i) / |b_i|, in per cent; no b_i may be 0."""
    return mean_interval([100 * (x - y) / abs(y) for x, y in zip(a, b, strict=True)], confidence)


def with_items(interval: Interval, square: float, items: int) -> Interval:
    """The interval over seeds that share their test items, with the items' own squared error; never narrower than over seeds alone.

    Args:
        interval: Over seeds, without a limited range.
        square: The squared error of the items, which `item_square` bounds.
        items: How many items there are.
    """
    error, freedom = welch([(interval.error**2, interval.freedom), (square, items - 1)])
    wider = student(interval.estimate, error, freedom, interval.n, interval.confidence, interval.range)
    wider = replace(wider, items=items, item_square=square)
    return wider if wider.high - wider.low > interval.high - interval.low else interval


def item_square(mean: float, within: Range, items: int) -> float:
    """The largest squared error that the mean of so many items can have, when each is limited to a range (Bhatia and Davis 2000)."""
    return max(0.0, (within.high - mean) * (mean - within.low)) / items


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """The share of successes in n independent trials, in per cent."""
    ends = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    share = 100 * successes / n
    error = 100 * math.sqrt(successes * (n - successes) / n**3)
    return Interval(share, 100 * float(ends.low), 100 * float(ends.high), confidence, error, n - 1, n, Range(0, 100))


def superiority(intervals: Interval | Sequence[Interval], low: float, high: float, strict: bool = False) -> Decision:
    """Is the true value in [low, high]? Decided by the two-sided interval shown: inside it holds, outside it fails.

    Args:
        intervals: One, or several with the same estimate, of which the widest is shown and decides.
        low: The least that is allowed; may be minus infinity.
        high: The most that is allowed; may be infinity.
        strict: Is the limit itself not allowed? (Better is more than equal.)
    """
    decisions = [
        _decide(one, low, high, strict, 2) for one in ([intervals] if isinstance(intervals, Interval) else intervals)
    ]
    return max(decisions, key=lambda decision: (decision.p, decision.interval.high - decision.interval.low))


def equivalence(intervals: Interval | Sequence[Interval], margin: float) -> Decision:
    """Two one-sided tests of |true value| < margin at `LEVEL` each (Schuirmann 1987): the interval shown has confidence 1 − 2 · `LEVEL`."""
    if margin <= 0:
        raise ValueError(f"a margin must be positive, got {margin}")
    several = [intervals] if isinstance(intervals, Interval) else intervals
    decisions = [_decide(again(one, EQUIVALENCE_CONFIDENCE), -margin, margin, False, 1) for one in several]
    return max(decisions, key=lambda decision: (decision.p, decision.interval.high - decision.interval.low))


def _decide(interval: Interval, low: float, high: float, strict: bool, sides: Literal[1, 2]) -> Decision:
    inside = interval.within(low, high)
    outside = interval.outside(low, high)
    if strict:
        inside, outside = low < interval.low and interval.high < high, interval.high <= low or interval.low >= high
    p_inside = max(
        interval.p_above(low) if math.isfinite(low) else 0.0, interval.p_below(high) if math.isfinite(high) else 0.0
    )
    p_outside = min(
        interval.p_below(low) if math.isfinite(low) else 1.0, interval.p_above(high) if math.isfinite(high) else 1.0
    )
    if interval.error == 0:
        return Decision(interval, 0.0, 0.0 if inside else 1.0, inside, not inside)
    p = min(1.0, sides * min(p_inside, p_outside))
    return Decision(interval, p, min(1.0, sides * p_inside), inside, outside)


def exponent(x: Sequence[float], y: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The slope of log y over log x by least squares: y ∝ x^slope. At least three different x, all values positive."""
    if len(set(x)) < 3:
        raise ValueError(f"an exponent with an interval needs at least 3 different x, got {len(set(x))}")
    if min(*x, *y) <= 0:
        raise ValueError(f"an exponent needs positive values, got {min(*x, *y)}")
    fit = stats.linregress(np.log(x), np.log(y))
    return student(float(fit.slope), float(fit.stderr), len(x) - 2, len(x), confidence)


def trend(
    x: Sequence[float], groups: Sequence[Sequence[float]], paired: bool = True, confidence: float = CONFIDENCE
) -> Trend:
    """How a quantity changes with each doubling of x.

    Args:
        x: A positive number for each group, not all equal.
        groups: The values of each group; paired ones are in the same order of seeds.
        paired: A slope for each seed, and their mean; otherwise one slope through all values.
        confidence: The confidence of the interval.

    Returns:
        The slope with its interval, and for paired groups the one-sided p of Page's test that they change in the slope's direction.
    """
    if len(set(x)) < 2 or min(x) <= 0:
        raise ValueError(f"a trend needs at least 2 different positive x, got {list(x)}")
    log = np.log2(x)
    if not paired:
        at = [float(place) for place, group in zip(log, groups, strict=True) for _ in group]
        fit = stats.linregress(at, [value for group in groups for value in group])
        slope = student(float(fit.slope), float(fit.stderr), len(at) - 2, len(at), confidence)
        return Trend(slope, None)
    by_seed = np.array(groups, dtype=float).T[:, np.argsort(log)]
    centred = np.sort(log) - log.mean()
    slopes = by_seed @ centred / (centred @ centred)
    slope = mean_interval([float(one) for one in slopes], confidence)
    if len(set(x)) < 3 or len(set(x)) < len(x):
        return Trend(slope, None)
    rising = by_seed if slope.estimate >= 0 else -by_seed
    return Trend(slope, float(stats.page_trend_test(rising).pvalue))


def rank(values: Sequence[Sequence[float]], index: int, paired: bool = True) -> Rank:
    """The rank of one row among all by its mean, the highest first.

    Args:
        values: The sample of each row; paired ones are in the same order of seeds.
        index: The row in question.
        paired: Are the samples paired?
    """
    difference = paired_difference if paired else unpaired_difference
    leads = [difference(values[index], sample) for i, sample in enumerate(values) if i != index]
    ps = holm([min(1.0, 2 * min(one.p_above(0), one.p_below(0))) for one in leads])
    ahead = sorted(p for one, p in zip(leads, ps, strict=True) if one.estimate < 0)
    behind = sorted(p for one, p in zip(leads, ps, strict=True) if one.estimate > 0)
    better, worse = (sum(p <= LEVEL for p in side) for side in (ahead, behind))
    return Rank(1 + len(ahead), 1 + better, len(values) - worse, len(values), ahead, behind)


def holm(ps: Sequence[float]) -> list[float]:
    """p-values adjusted for testing all of them (Holm 1979): the i-th smallest times the number left, never falling."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    largest = itertools.accumulate((min(1.0, (len(ps) - k) * ps[i]) for k, i in enumerate(order)), max)
    adjusted = dict(zip(order, largest, strict=True))
    return [adjusted[i] for i in range(len(ps))]
