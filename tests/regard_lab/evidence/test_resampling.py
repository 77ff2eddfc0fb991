from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from regard_lab.evidence.resampling import differences, two_level, variance
from regard_lab.evidence.statistics import mean_interval
from regard_lab.experiment.items import Outcomes
from tests.regard_lab.evidence.claim_samples import claim, decide, two


def same_items(table: NDArray[np.float64]) -> list[Outcomes]:
    return [Outcomes(line, np.arange(len(line))) for line in table]


def test_the_error_is_that_of_samples_that_are_really_drawn() -> None:
    random = np.random.default_rng(0)
    n, m, draws = 6, 300, 20_000
    table = random.normal(0, 0.5, (n, 1)) + random.normal(0, 3.0, (1, m)) + random.normal(0, 1.0, (n, m))
    interval = two_level(same_items(table))
    seeds, items = (random.multinomial(size - 1, np.full(size, 1 / size), draws) / (size - 1) for size in (n, m))
    drawn = ((items @ table.T) * seeds).sum(1)
    assert interval.error**2 == pytest.approx(drawn.var(), rel=0.05)
    assert interval.estimate == pytest.approx(table.mean())
    assert interval.error > mean_interval(table.mean(1).tolist()).error


def test_the_variance_by_hand() -> None:
    # Means of seeds 1 and 3, of items 1 and 3; each of the four is off by 1 from their sum less the mean of all.
    square, of_items = variance(np.array([[1.0, 1.0], [1.0, 5.0]]))
    assert (square, of_items) == (1.0 + 1.0 + 4 / 4, 1.0)


def test_without_spread_between_seeds_it_is_the_error_of_the_items() -> None:
    values = np.random.default_rng(0).normal(0, 1, 400)
    interval = two_level(same_items(np.stack([values] * 5)))
    t_test = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((t_test.low, t_test.high), rel=1e-9)
    assert interval.items == 400


def test_intervals_cover_as_often_as_they_say() -> None:
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        table = random.normal(0, 1, (4, 1)) + random.normal(0, 5, (1, 60)) + random.normal(0, 1, (4, 60))
        interval = two_level(same_items(table))
        hits += interval.low <= 0 <= interval.high
    assert 0.9 <= hits / 200 <= 0.99


def test_seeds_with_items_of_their_own_are_the_units() -> None:
    values = [[1.0, 2.0, 3.0], [2.0, 3.0, 5.0], [1.0, 1.0, 1.0]]
    nested = [Outcomes(np.array(line), np.arange(3) + 10 * i) for i, line in enumerate(values)]
    assert two_level(nested) == mean_interval([float(np.mean(line)) for line in values])


def test_items_are_paired_by_number() -> None:
    a = [Outcomes(np.array([1.0, 2.0, 3.0]), np.array([4, 5, 6]))]
    b = [Outcomes(np.array([10.0, 1.0]), np.array([6, 4]))]
    (difference,) = differences(a, b)
    assert dict(zip(difference.numbers.tolist(), difference.values.tolist(), strict=True)) == {4: 0.0, 6: -7.0}
    with pytest.raises(ValueError, match="share no test item"):
        differences(a, [Outcomes(np.array([1.0]), np.array([9]))])
    with pytest.raises(ValueError, match="two levels need 2 seeds of 2 items"):
        two_level(a)


def test_a_claim_uses_the_items_that_a_result_has() -> None:
    """Three seeds agree within 0.1 points, but 400 texts cannot: `glue-half-memory-gain` of the review in small."""
    old = np.repeat([1.0, 0.0], [320, 80])
    flipped = old.copy()
    flipped[:22], flipped[320:338] = 0, 1  # 10 % of the texts differ, one point in all
    gap = 100 * (flipped.mean() - old.mean())
    evidence = two([100 * old.mean() + gap + d for d in (-0.05, 0.0, 0.05)], [100 * float(old.mean())] * 3)
    seeds_alone = decide(claim("better"), evidence)
    assert seeds_alone.verdict in ("holds", "fails")
    numbers = np.arange(400)
    outcomes = {
        cell: {"accuracy": Outcomes(values, numbers)}
        for one, values in zip(evidence.rows, (flipped, old), strict=True)
        for cell in one.cells
    }
    verdict = decide(claim("better"), replace(evidence, outcomes=outcomes))
    assert verdict.verdict == "undecided"
    paired = stats.ttest_rel(100 * flipped, 100 * old).confidence_interval(0.95)
    assert (verdict.statistic["low"], verdict.statistic["high"]) == pytest.approx((paired.low, paired.high), abs=0.15)
    assert "3 paired seeds × 400 items" in verdict.sentence
    assert verdict.need is not None
    assert verdict.need.items is not None
    assert verdict.need.items > 400
