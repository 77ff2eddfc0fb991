"""The index, efficiency lengths and certification by hand; what is recomputed from published numbers is in test_published.py."""

import pytest

from projects.cab.analyses import certification, efficiency, index
from projects.cab.config import NONE
from projects.cab.tasks.by_pattern import task_metrics
from regard.common.patterns import ALL_PATTERNS
from regard_lab.common.errors import DataMissing
from tests.projects.cab.cab_data import (
    config_of,
    made_up,  # noqa: F401
)


def test_the_index_by_hand_and_the_gain_over_none(made_up, tmp_path):  # noqa: F811
    config = config_of("table=index", "pattern=causal_self", "attention.name=local", *made_up)
    config.constants = {"perplexity": {"mean": 10.0, "sd": 2.0}}
    own, none = (task_metrics(config, name)["perplexity"] for name in (None, NONE))
    measured = index.index(config, tmp_path).metrics
    assert measured["index"] == pytest.approx((10 - own) / 2)
    assert measured["over_none"] == pytest.approx((none - own) / 2)
    softmax = task_metrics(config, "softmax")["perplexity"]
    assert index.benefit(config, tmp_path).metrics["benefit"] == pytest.approx((none - softmax) / 2)
    config.constants = None
    with pytest.raises(
        DataMissing, match=r"no constants are frozen for causal_self at scale quick: run the tables .*freeze_constants"
    ):
        index.index(config, tmp_path)


def test_a_crossing_by_hand():
    parabola = {n: float(n * n) for n in (1, 2, 4, 8)}
    line = {n: 3.0 * n + 4.0 for n in (1, 2, 4, 8)}
    assert efficiency.crossing(parabola, line) == pytest.approx(4.0)  # n² = 3 n + 4
    assert efficiency.crossing(parabola, {n: n - 10.0 for n in (1, 2, 4)}) == 0.0  # below it everywhere
    assert efficiency.crossing({n: -cost for n, cost in parabola.items()}, line) == efficiency.LONGEST
    assert efficiency.crossing(parabola, {n: 1e7 * n for n in (1, 2, 4)}) == efficiency.LONGEST
    assert efficiency.without_first({1: 5.0, 2: 6.0}) == {2: 6.0}


@pytest.mark.slow
def test_the_efficiency_cell_measures(tmp_path):
    config = config_of(
        "table=efficiency", "attention.name=local", "efficiency.lengths=[32,64,96]", "efficiency.repeats=1"
    )
    measured = efficiency.measure(config, tmp_path)
    assert all(value >= 0 for value in measured.metrics.values())
    assert measured.exhibits["lengths"] == [32, 64, 96]
    assert all(len(each) == 3 for each in measured.exhibits["time_ms"].values())


@pytest.mark.parametrize(("scale", "properties"), [("quick", 12), ("laptop", 13)])
def test_a_pattern_is_there_when_every_property_holds(scale, properties, tmp_path, monkeypatch):
    def some(passed: bool):
        def certify(name, options=None, properties=None):
            from regard.certification import Outcome

            return [Outcome("causal_self", "padding", True, ""), Outcome("causal_self", "causality", passed, "leaks")]

        return certify

    config = config_of("table=patterns", "attention.name=local", f"scale={scale}")
    monkeypatch.setattr(certification, "certify", some(True))
    assert certification.certified(config, tmp_path).metrics["causal_self"] == 1.0
    monkeypatch.setattr(certification, "certify", some(False))
    metrics = certification.certified(config, tmp_path)
    assert metrics.metrics == {**dict.fromkeys(ALL_PATTERNS, 0.0), "failures": 1.0, "properties": float(properties)}
    assert metrics.exhibits["failed"] == ["causal_self, causality: leaks"]
