"""The index, efficiency lengths and certification by hand; what is recomputed from published numbers is in test_published.py."""

import pytest

from projects.cab.analyses import certification, efficiency, index
from projects.cab.config import NONE
from projects.cab.tasks.by_pattern import TASKS, task_metrics
from regard.common.patterns import ALL_PATTERNS
from regard_lab.common.errors import DataMissing
from tests.projects.cab.cab_data import config_of


def test_the_index_is_a_mean_over_tasks_and_the_gain_over_none(monkeypatch, tmp_path):
    """Two tasks, one of two metrics: each counts as much as the other. A metric without constants does not count."""
    found = {
        None: {"sr": {"psnr": 25.0, "ssim": 0.7}, "mlm": {"perplexity": 8.0, "accuracy": 40.0}},
        NONE: {"sr": {"psnr": 24.0, "ssim": 0.5}, "mlm": {"perplexity": 14.0, "accuracy": 20.0}},
        "softmax": {"sr": {"psnr": 24.0, "ssim": 0.6}, "mlm": {"perplexity": 10.0, "accuracy": 30.0}},
    }
    monkeypatch.setattr(index, "task_metrics", lambda config, task, attention=None: found[attention][task.table])
    config = config_of("table=index", "pattern=noncausal_self", "attention.name=local")
    sr = {"psnr": {"mean": 24.0, "sd": 0.5}, "ssim": {"mean": 0.6, "sd": 0.1}}
    mlm = {"perplexity": {"mean": 10.0, "sd": 2.0}}
    config.constants = {"sr": sr, "mlm": mlm}
    measured = index.index(config, tmp_path).metrics
    assert measured["index"] == pytest.approx(((2 + 1) / 2 + 1) / 2)
    assert measured["over_none"] == pytest.approx(1.25 - ((0 - 1) / 2 - 2) / 2)
    assert measured["tasks"] == 2
    assert index.benefit(config, tmp_path).metrics["benefit"] == pytest.approx(0 - (-1.25))
    config.constants = {"mlm": mlm}
    measured = index.index(config, tmp_path).metrics
    assert (measured["index"], measured["tasks"]) == (pytest.approx(1), 1)
    config.constants = None
    with pytest.raises(
        DataMissing,
        match=r"no constants are frozen for noncausal_self at scale quick: run the tables tts_self, summary_self, sr, mlm .*freeze",
    ):
        index.index(config, tmp_path)


def test_a_task_gives_the_index_what_it_measures(made_up, tmp_path):
    config = config_of("table=index", "pattern=causal_self", "attention.name=local", *made_up)
    task = next(task for task in TASKS["causal_self"] if task.table == "lm")
    config.constants = {"lm": {"perplexity": {"mean": 10.0, "sd": 2.0}}}
    own, none = (task_metrics(config, task, name)["perplexity"] for name in (None, NONE))
    assert index.index(config, tmp_path).metrics["over_none"] == pytest.approx((none - own) / 2)


def test_a_length_from_which_it_pays_by_hand():
    softmax = {n: float(n * n) for n in (32, 64, 128)}
    assert efficiency.pays_from(softmax, {n: 64.0 * n for n in softmax}) == pytest.approx(
        64.0
    )  # where the costs are equal
    assert efficiency.pays_from(softmax, {n: 96.0 * n for n in softmax}) == pytest.approx(
        96.0
    )  # powers of n in between
    assert efficiency.pays_from(softmax, dict.fromkeys(softmax, 1.0)) == 32.0  # there or before, and no less
    assert efficiency.pays_from(softmax, {n: 1e3 * n for n in softmax}) == efficiency.LONGEST


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
