import numpy as np
import pytest
from scipy import stats

from regard_lab.evidence import power


@pytest.mark.parametrize(("n", "truth"), [(3, 0.3), (5, 0.0), (10, 0.0)])
def test_power_of_an_equivalence_is_how_often_it_is_shown(n: int, truth: float) -> None:
    drawn = np.random.default_rng(0).normal(truth, 1, (100_000, n))
    reach = stats.t.ppf(0.95, n - 1) * drawn.std(1, ddof=1) / n**0.5
    shown = np.mean((drawn.mean(1) - reach > -1) & (drawn.mean(1) + reach < 1))
    assert power.power_of_equivalence(1, truth, 1, n) == pytest.approx(shown, abs=0.005)


@pytest.mark.parametrize(("n", "lead"), [(3, 1.0), (10, 0.5)])
def test_power_of_superiority_is_how_often_it_is_shown(n: int, lead: float) -> None:
    drawn = np.random.default_rng(0).normal(lead, 1, (100_000, n))
    reach = stats.t.ppf(0.975, n - 1) * drawn.std(1, ddof=1) / n**0.5
    assert power.power_of_superiority(lead, 1, n) == pytest.approx(np.mean(drawn.mean(1) - reach > 0), abs=0.005)


def test_the_least_number_is_the_least() -> None:
    def at(n: int) -> float:
        return power.power_of_superiority(0.5, 1, n)

    found = power.least(at, 4)
    assert found == 34  # as in the tables of Cohen (1988) for d = 0.5 and one sample
    assert at(found) >= power.ENOUGH > at(found - 1)
    assert power.least(at, 100) == 100
    assert power.least(lambda n: 0.1, 4) is None
