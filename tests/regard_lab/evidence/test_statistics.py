import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from regard_lab.evidence import statistics

values = st.lists(st.integers(-1000, 1000).map(float), min_size=3, max_size=8)
pairs = st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99)), min_size=3, max_size=8)


def test_mean_interval_by_hand() -> None:
    # mean 2, sd 1, error 1/√3, t(0.975, 2) = 4.302653
    interval = statistics.mean_interval([1, 2, 3])
    assert interval.estimate == 2
    assert interval.high - 2 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert interval.high + interval.low == pytest.approx(4)


def test_one_value_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least 2 values, got 1"):
        statistics.mean_interval([1.0])
    with pytest.raises(ValueError, match="got 3 and 1"):
        statistics.unpaired_difference([1, 2, 3], [1])


def test_equal_values_have_an_interval_of_width_nothing() -> None:
    for interval in (
        statistics.mean_interval([5.0, 5.0, 5.0]),
        statistics.unpaired_difference([7.0, 7.0], [2.0, 2.0]),
    ):
        assert (interval.low, interval.high) == (5, 5)


def test_welch_agrees_with_scipy() -> None:
    a, b = [3.0, 4.5, 6.1, 5.0], [2.0, 2.1, 1.8]
    ours = statistics.unpaired_difference(a, b)
    theirs = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_paired_agrees_with_scipy() -> None:
    a, b = [3.0, 4.5, 6.1], [2.0, 2.1, 4.8]
    ours = statistics.paired_difference(a, b)
    theirs = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_equivalence_is_the_larger_of_two_one_sided_tests() -> None:
    a, b, margin = [71.0, 72.5, 70.9, 72.2], [71.4, 72.0, 71.5, 72.3], 1.0
    test = statistics.equivalence(statistics.paired_difference(a, b), margin)
    difference = np.subtract(a, b)
    lower = stats.ttest_1samp(difference, -margin, alternative="greater").pvalue
    upper = stats.ttest_1samp(difference, margin, alternative="less").pvalue
    assert test.p_inside == pytest.approx(max(lower, upper))
    assert test.interval.confidence == pytest.approx(0.9)


def test_beyond_the_margin_is_decided_by_the_interval_shown() -> None:
    """A 90 % interval wholly outside the margin fails, though the 95 % one is not: the review's biggan-half-memory."""
    test = statistics.equivalence(statistics.mean_interval([-0.28, -0.43, -0.42]), 0.2)
    assert test.outside
    assert test.p == pytest.approx(stats.ttest_1samp([-0.28, -0.43, -0.42], -0.2, alternative="less").pvalue)
    assert not statistics.mean_interval([-0.28, -0.43, -0.42]).outside(-0.2, 0.2)


def test_equivalence_without_spread() -> None:
    def decided(a: list[float], b: list[float], margin: float) -> statistics.Decision:
        return statistics.equivalence(statistics.paired_difference(a, b), margin)

    assert decided([1, 2, 3], [1, 2, 3], 0.5).inside
    assert decided([2, 3, 4], [1, 2, 3], 0.5).outside
    assert decided([2, 3, 4], [1, 2, 3], 1).inside  # at the border
    with pytest.raises(ValueError, match="a margin must be positive"):
        decided([1, 2], [1, 2], 0)


@given(pairs, st.integers(1, 50), st.booleans())
def test_p_and_interval_say_the_same(drawn: list[tuple[int, int]], limit: int, paired: bool) -> None:
    a, b = [float(x) for x, _ in drawn], [float(y) for _, y in drawn]
    difference = (statistics.paired_difference if paired else statistics.unpaired_difference)(a, b)
    for test in (
        statistics.equivalence(difference, limit),
        statistics.superiority(difference, limit, math.inf),
        statistics.superiority(difference, -math.inf, limit, strict=True),
        statistics.superiority(difference, -limit, limit),
    ):
        if difference.error and abs(test.p - 0.05) > 1e-6:
            assert (test.p < 0.05) == (test.inside or test.outside)
        assert not (test.inside and test.outside)


@given(pairs, st.integers(-1000, 1000))
def test_shifting_both_samples_changes_nothing(drawn: list[tuple[int, int]], shift: int) -> None:
    a, b = [float(x) for x, _ in drawn], [float(y) for _, y in drawn]
    for difference in (statistics.paired_difference, statistics.unpaired_difference):
        before, after = difference(a, b), difference([x + shift for x in a], [y + shift for y in b])
        assert (after.low, after.high) == pytest.approx((before.low, before.high), abs=1e-9)


@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_pairs_changes_nothing(drawn: list[tuple[int, int]], random: object) -> None:
    mixed = list(drawn)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    intervals = [statistics.paired_difference([x for x, _ in d], [y for _, y in d]) for d in (drawn, mixed)]
    assert intervals[0].low == pytest.approx(intervals[1].low, abs=1e-9)


@given(values)
def test_more_confidence_is_wider(sample: list[float]) -> None:
    narrow, wide = statistics.mean_interval(sample, 0.9), statistics.mean_interval(sample, 0.99)
    assert wide.low <= narrow.low <= narrow.high <= wide.high


def test_relative_change_by_hand() -> None:
    assert statistics.relative_change([11, 22], [10, 20]).estimate == pytest.approx(10)
    assert statistics.relative_change([-9, -18], [-10, -20]).estimate == pytest.approx(10)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_exponent_of_a_power_law(power: float) -> None:
    slope = statistics.exponent([1, 2, 4, 8], [3 * x**power for x in (1, 2, 4, 8)])
    assert slope.estimate == pytest.approx(power)
    assert slope.high - slope.low < 1e-6


def test_exponent_by_hand() -> None:
    # log2: x = 0, 1, 2; y = 0, 2, 2: slope 1, residuals −1/3, 2/3, −1/3, error √((2/3) / 1 / 2)
    slope = statistics.exponent([1, 2, 4], [1, 4, 4])
    assert slope.estimate == pytest.approx(1)
    assert slope.error == pytest.approx(math.sqrt(1 / 3))
    assert slope.freedom == 1


def test_exponent_refuses() -> None:
    with pytest.raises(ValueError, match="at least 3 different x, got 2"):
        statistics.exponent([1, 2, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="positive values, got 0"):
        statistics.exponent([1, 2, 3], [1, 0, 3])


def test_trend_by_hand() -> None:
    # log2 x = 0, 1, 2; seed 1 rises by 1 a doubling, seed 2 by 2
    trend = statistics.trend([1, 2, 4], [[0, 0], [1, 2], [2, 4]])
    assert trend.slope.estimate == pytest.approx(1.5)
    assert trend.slope.error == pytest.approx(0.5)
    assert trend.page == pytest.approx(stats.page_trend_test([[0, 1, 2], [0, 2, 4]]).pvalue)
    assert statistics.trend([4, 1, 2], [[2, 4], [0, 0], [1, 2]]) == trend  # the order of rows is of no account
    falling = statistics.trend([1, 2, 4], [[2, 4], [1, 2], [0, 0]])
    assert (falling.slope.estimate, falling.page) == (pytest.approx(-1.5), trend.page)
    assert statistics.trend([1, 2], [[0, 0], [1, 2]]).page is None
    unpaired = statistics.trend([1, 2, 4], [[0, 0], [1, 2], [2, 4]], paired=False)
    fit = stats.linregress([0, 0, 1, 1, 2, 2], [0, 0, 1, 2, 2, 4])
    assert (unpaired.slope.estimate, unpaired.slope.error) == pytest.approx((fit.slope, fit.stderr))
    with pytest.raises(ValueError, match="at least 2 different positive x"):
        statistics.trend([1, 1], [[1, 2], [1, 2]])


@pytest.mark.parametrize(
    ("within", "value"),
    [
        (statistics.Range(0, 100), 9.0),
        (statistics.Range(0), 200.0),
        (statistics.Range(high=1), -3.0),
        (statistics.Range(-1, 1), 0.5),
    ],
)
def test_a_range_is_never_left(within: statistics.Range, value: float) -> None:
    assert within.back(within.free(value)) == pytest.approx(value)
    step = 1e-6
    slope = (within.free(value + step) - within.free(value - step)) / (2 * step)
    assert within.slope(value) == pytest.approx(slope, rel=1e-5)
    interval = statistics.student(value, abs(value), 2, 3, 0.99, within)
    assert within.low < interval.low < value < interval.high < within.high
    assert interval.p_above(within.low) == 0 or math.isinf(within.low)
    again = statistics.again(statistics.again(interval, 0.5), 0.99)
    assert (again.low, again.high) == pytest.approx((interval.low, interval.high))


def test_a_range_hardly_changes_a_narrow_interval() -> None:
    free, bounded = (
        statistics.mean_interval([50, 51, 49]),
        statistics.mean_interval([50, 51, 49], within=statistics.Range(0, 100)),
    )
    assert (bounded.low, bounded.high) == pytest.approx((free.low, free.high), abs=0.01)


def test_wilson_by_hand() -> None:
    # 8 of 10, z = 1.96: centre (0.8 + 1.92 / 10) / (1 + 3.84 / 10), as in the textbooks 49.0 to 94.3 %
    interval = statistics.wilson(8, 10)
    assert (interval.estimate, interval.low, interval.high) == pytest.approx((80, 49.02, 94.33), abs=0.01)
    assert statistics.wilson(10, 10).high == 100


def test_items_widen_an_interval_and_never_narrow_it() -> None:
    seeds = statistics.mean_interval([1.0, 2.0, 3.0])
    assert statistics.with_items(seeds, 0.0, 400) == seeds
    wide = statistics.with_items(seeds, 4.0, 400)
    assert wide.error == pytest.approx(math.sqrt(1 / 3 + 4))
    assert wide.low < seeds.low < seeds.high < wide.high
    assert statistics.item_square(80, statistics.Range(0, 100), 400) == pytest.approx(
        4.0
    )  # of a share of 0.8: 2 points


def test_ranks() -> None:
    clear = [[9.0, 9.1, 9.2], [5.0, 5.2, 5.1], [1.0, 1.1, 1.05]]
    assert [(r.rank, r.best, r.worst) for r in (statistics.rank(clear, i) for i in range(3))] == [
        (1, 1, 1),
        (2, 2, 2),
        (3, 3, 3),
    ]
    tie = statistics.rank([[9.0, 9.1, 9.2], [8.0, 9.9, 9.1], [1.0, 1.1, 1.05]], 0)
    assert (tie.rank, tie.best, tie.worst) == (1, 1, 2)
    assert tie.p(1, 1) > 0.05  # may be first, may be second
    assert tie.p(1, 2) <= 0.05  # surely one of them
    second = statistics.rank(clear, 1)
    assert second.p(1, 1) <= 0.05  # surely not first
    assert second.p(2, 3) <= 0.05


def test_inside_and_outside() -> None:
    interval = statistics.mean_interval([1, 2, 3])
    assert interval.within(-1, 5)
    assert not interval.within(0, 5)
    assert interval.outside(5, 9)
    assert interval.outside(-9, -1)
    assert not interval.outside(4, 9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_its_steps_reject(ps: list[float]) -> None:
    """The procedure as Holm words it: compare the smallest with α / n, the next with α / (n − 1), and stop at the first that is larger."""
    alpha = 0.05
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    rejected: set[int] = set()
    for step, i in enumerate(order):
        if ps[i] > alpha / (len(ps) - step):
            break
        rejected.add(i)
    adjusted = statistics.holm(ps)
    for i, p in enumerate(adjusted):
        if abs(p - alpha) > 1e-12:
            assert (p <= alpha) == (i in rejected)
