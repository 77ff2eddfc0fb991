"""The constants of our index: taken as they should be, and those that are frozen."""

import pytest
import yaml

from projects.cab import freeze_constants
from projects.cab.config import NONE, PROJECT, frozen_constants
from projects.cab.freeze_constants import constants_of
from projects.cab.tasks.by_pattern import TASKS
from regard.common.patterns import ALL_PATTERNS
from regard_lab.common.errors import UserError
from regard_lab.evidence.gate import Judgement, Problem
from regard_lab.experiment.results import SCALES, Metric, Result, Row, result_path, write_result
from tests.configs import configs_of

config_of = configs_of(PROJECT, default="experiment=certification")


LM = next(task for task in TASKS["causal_self"] if task.table == "lm")
KINDS = [task for tasks in TASKS.values() for task in tasks]


def result_of(values: dict[str, list[float]], status: str = "ok") -> Result:
    rows = [
        Row(
            {"attention": name, "positions": "absolute"},
            {"perplexity": Metric.of(each, "")},
            status,
            "",
            list(range(len(each))),
            [],
        )
        for name, each in values.items()
    ]
    return Result("cab", "lm", "laptop", "", [], rows)


def test_constants_are_those_of_the_mechanisms_means_without_none_variants_and_other_settings():
    result = result_of({"a": [1.0, 3.0], "b": [4.0, 4.0], "none": [100.0, 90.0]})
    others = [
        {"attention": "a", "positions": "relative"},
        {"attention": "a", "variant": "released", "positions": "absolute"},
    ]
    for key in others:
        result.rows.append(Row(key, {"perplexity": Metric.of([50.0], "")}, "ok", "", [0], []))
    found = constants_of(result, LM, None)
    assert found["metrics"] == {"perplexity": {"mean": 3.0, "sd": pytest.approx(2**0.5)}}
    assert found["over"] == ["a", "b"]
    assert found["refused"] == {}
    with pytest.raises(UserError, match="cab/lm at laptop lacks a, b: constants need every row"):
        constants_of(result_of({"a": [1.0], "b": [2.0]}, status="failed"), LM, None)


def problem(metric: str, status: str) -> Problem:
    return Problem(metric, (metric,), {}, status, "F = 0.8", None, [], None, None)  # type: ignore[arg-type]


def test_a_metric_without_signal_is_refused_and_another_of_its_table_is_not():
    task = next(task for task in KINDS if task.table == "sr")
    rows = [
        Row({"attention": name}, {"psnr": Metric.of([v], ""), "ssim": Metric.of([v], "")}, "ok", "", [0], [])
        for name, v in (("a", 1.0), ("b", 3.0))
    ]
    judgement = Judgement("no signal", [problem("psnr", "no signal"), problem("ssim", "passed")])
    found = constants_of(Result("cab", "sr", "laptop", "", [], rows), task, judgement)
    assert list(found["metrics"]) == ["ssim"]
    assert found["refused"] == {"psnr": "no signal: F = 0.8"}


def test_a_metric_that_is_equal_for_all_mechanisms_is_refused():
    found = constants_of(result_of({"a": [7.0], "b": [7.0]}), LM, None)
    assert (found["metrics"], found["refused"]) == ({}, {"perplexity": "all 2 mechanisms have 7"})


def test_every_frozen_constant_is_a_metric_of_its_table():
    metrics = {task.table: task.metrics for task in KINDS}
    for scale in SCALES:
        for pattern in ALL_PATTERNS:
            constants = config_of("table=index", f"scale={scale}", f"pattern={pattern}").constants or {}
            for table, each in constants.items():
                assert set(each) <= set(metrics[table])
                assert all(constant["sd"] > 0 for constant in each.values())


BELOW = Judgement("below the floor", [problem(metric, "below the floor") for task in KINDS for metric in task.metrics])


def test_the_command_writes_one_scale_keeps_the_others_and_says_what_it_refuses(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(freeze_constants, "FOLDER", tmp_path)
    (tmp_path / "constants.yaml").write_text("quick: {causal_self: {lm: {metrics: {}}}}")
    monkeypatch.setattr("sys.argv", ["freeze_constants", "--scale", "laptop"])
    assert freeze_constants.main() == 2
    assert "cab/tts_self and the other tables of the index have no result at laptop" in capsys.readouterr().err
    for task in KINDS[1:]:
        rows = [
            Row(
                {"attention": name, "positions": "absolute"},
                {metric: Metric.of([value], "") for metric in task.metrics},
                "ok",
                "",
                [0],
                [],
            )
            for name, value in (("softmax", 1.0), ("abc", 3.0), (NONE, 100.0))
        ]
        write_result(
            result_path(tmp_path, "cab", task.table, "laptop"), Result("cab", task.table, "laptop", "", [], rows)
        )
    # The real tables have gates, and these made-up results no floors.
    monkeypatch.setattr(
        freeze_constants, "judgement_of", lambda paper, table, scale, root: None if table == "lm" else BELOW
    )
    assert freeze_constants.main() == 0
    said = capsys.readouterr().out
    assert "refused: perplexity, below the floor: F = 0.8" in said
    assert "tts_self: no result at laptop" in said
    assert "causal_self      lm           perplexity: 2 mechanisms, 1 seed(s)" in said
    frozen = yaml.safe_load((tmp_path / "constants.yaml").read_text())
    assert frozen["quick"] == {"causal_self": {"lm": {"metrics": {}}}}
    assert frozen["laptop"]["causal_self"]["lm"]["metrics"] == {
        "perplexity": {"mean": 2.0, "sd": pytest.approx(2**0.5)}
    }
    assert frozen["laptop"]["noncausal_self"]["mlm"]["metrics"] == {}
    monkeypatch.setattr("projects.cab.config.FOLDER", tmp_path)
    assert frozen_constants("laptop", "noncausal_self") is None
    assert frozen_constants("laptop", "causal_self") == {"lm": frozen["laptop"]["causal_self"]["lm"]["metrics"]}
    monkeypatch.setattr("sys.argv", ["freeze_constants", "--scale", "laptop", "--anyway"])
    assert freeze_constants.main() == 0
    frozen = yaml.safe_load((tmp_path / "constants.yaml").read_text())
    assert frozen["laptop"]["noncausal_self"]["mlm"]["metrics"] == {
        "perplexity": {"mean": 2.0, "sd": pytest.approx(2**0.5)}
    }
