"""Order and number of repeats, and what longer runs are predicted to take; no test waits for a clock."""

import pytest

from regard.bench import timing
from regard.bench.timing import LEAST, MOST, elapsed_s, interleaved, median_and_spread, predicted


def test_repeats_are_interleaved_and_end_when_there_are_enough():
    order = []
    costs = {"slow": 10.0, "middle": 0.07, "fast": 0.0001}

    def timed(call):
        order.append(call())
        return costs[call()]

    times = interleaved([lambda name=name: name for name in costs], timed)
    assert order[: 3 * LEAST] == ["slow", "middle", "fast"] * LEAST
    assert order[3 * LEAST : 3 * LEAST + 4] == ["middle", "fast"] * 2  # 5 × 0.07 s is the first sum above 0.3 s
    assert order[3 * LEAST + 4 :] == ["fast"] * (MOST - 5)
    assert [len(own) for own in times] == [LEAST, 5, MOST]
    assert set(times[1]) == {0.07}


def test_elapsed_time_is_that_of_one_call(monkeypatch):
    ticks = iter([10.0, 12.5])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(ticks))
    calls = []
    assert elapsed_s(lambda: calls.append(1)) == 2.5
    assert calls == [1]


def test_median_and_quartiles():
    assert median_and_spread([5.0, 1.0, 2.0, 4.0, 100.0]) == (4.0, 3.0)


def test_predictions():
    assert predicted([], 100) is None
    assert predicted([(100, 1.0)], 400) == pytest.approx(16.0)  # one point: quadratic
    assert predicted([(1, 9.0), (100, 1.0), (200, 2.5)], 400) == pytest.approx(6.25)  # the last two
    assert predicted([(100, 1.0), (200, 1.1)], 400) == pytest.approx(2.2)  # never below linear
    assert predicted([(100, 1.0), (200, 100.0)], 400) == pytest.approx(800.0)  # never above cubic
