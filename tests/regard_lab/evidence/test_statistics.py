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
    test = statistics.equivalence(a, b, margin)
    difference = np.subtract(a, b)
    lower = stats.ttest_1samp(difference, -margin, alternative="greater").pvalue
    upper = stats.ttest_1samp(difference, margin, alternative="less").pvalue
    assert test.p == pytest.approx(max(lower, upper))
    assert test.interval.confidence == pytest.approx(0.9)


def test_equivalence_without_spread() -> None:
    assert statistics.equivalence([1, 2, 3], [1, 2, 3], 0.5).p == 0
    assert statistics.equivalence([2, 3, 4], [1, 2, 3], 0.5).p == 1
    at_the_border = statistics.equivalence([2, 3, 4], [1, 2, 3], 1)
    assert at_the_border.p == 0
    assert at_the_border.interval.within(-1, 1)
    with pytest.raises(ValueError, match="a margin is positive"):
        statistics.equivalence([1, 2], [1, 2], 0)


@given(pairs, st.integers(1, 50), st.booleans())
def test_equivalence_p_and_interval_say_the_same(drawn: list[tuple[int, int]], margin: int, paired: bool) -> None:
    a, b = [float(x) for x, _ in drawn], [float(y) for _, y in drawn]
    test = statistics.equivalence(a, b, margin, paired)
    if abs(test.p - 0.05) > 1e-6:
        assert (test.p < 0.05) == test.interval.within(-margin, margin)


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


def test_relative_gain_by_hand() -> None:
    assert statistics.relative_gain([11, 22], [10, 20]).estimate == pytest.approx(10)
    assert statistics.relative_gain([-9, -18], [-10, -20]).estimate == pytest.approx(10)


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
    trend = statistics.trend([[1, 2], [3, 4], [3, 4]])
    assert [step.estimate for step in trend.steps] == [2, 0]
    assert [step.confidence for step in trend.steps] == pytest.approx([0.975, 0.975])
    assert 0 < trend.tau < 1
    assert statistics.trend([[1, 1], [1, 1]]).tau == 0
    with pytest.raises(ValueError, match="at least 2 groups, got 1"):
        statistics.trend([[1, 2]])


def test_inside_and_outside() -> None:
    interval = statistics.mean_interval([1, 2, 3])
    assert interval.within(-1, 5)
    assert not interval.within(0, 5)
    assert interval.outside(5, 9)
    assert interval.outside(-9, -1)
    assert not interval.outside(4, 9)
