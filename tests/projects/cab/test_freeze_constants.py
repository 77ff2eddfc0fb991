"""The constants of our index: taken as they should be, and those that are frozen."""

import pytest
import yaml

from projects.cab import freeze_constants
from projects.cab.config import NONE, PROJECT
from projects.cab.freeze_constants import constants_of
from projects.cab.tasks.by_pattern import INDEX_METRICS, TABLES
from regard.common.patterns import ALL_PATTERNS
from regard_lab.common.errors import UserError
from regard_lab.evidence.gate import Judgement
from regard_lab.experiment.results import SCALES, Metric, Result, Row, result_path, write_result
from tests.configs import configs_of

config_of = configs_of(PROJECT, default="experiment=certification")


def result_of(values: dict[str, list[float]], status: str = "ok") -> Result:
    rows = [
        Row({"attention": name}, {"perplexity": Metric.of(each, "")}, status, "", list(range(len(each))), [])
        for name, each in values.items()
    ]
    return Result("cab", "lm", "laptop", "", [], rows)


def test_constants_are_those_of_the_mechanisms_means_without_none():
    found = constants_of(result_of({"a": [1.0, 3.0], "b": [4.0, 4.0], "none": [100.0, 90.0]}), ("perplexity",))
    assert found["metrics"] == {"perplexity": {"mean": 3.0, "sd": pytest.approx(2**0.5)}}
    assert found["over"] == ["a", "b"]
    with pytest.raises(UserError, match="cab/lm at laptop lacks a, b: constants need every row"):
        constants_of(result_of({"a": [1.0], "b": [2.0]}, status="failed"), ("perplexity",))


def test_every_frozen_constant_is_a_metric_of_its_table():
    for scale in SCALES:
        for pattern in ALL_PATTERNS:
            constants = config_of("table=index", f"scale={scale}", f"pattern={pattern}").constants
            if constants is not None:
                assert tuple(constants) == INDEX_METRICS[pattern]
                assert all(each["sd"] > 0 for each in constants.values())


BELOW = Judgement("below the floor", [])


def test_the_command_writes_one_scale_and_keeps_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(freeze_constants, "FOLDER", tmp_path)
    (tmp_path / "constants.yaml").write_text("quick: {causal_self: {table: lm}}")
    monkeypatch.setattr("sys.argv", ["freeze_constants", "--scale", "laptop"])
    assert freeze_constants.main() == 2
    assert "cab/lstf_self has no result at laptop" in capsys.readouterr().err
    for pattern, table in TABLES.items():
        rows = [
            Row(
                {"attention": name},
                {metric: Metric.of([value], "") for metric in INDEX_METRICS[pattern]},
                "ok",
                "",
                [0],
                [],
            )
            for name, value in (("softmax", 1.0), ("abc", 3.0), (NONE, 100.0))
        ]
        write_result(result_path(tmp_path, "cab", table, "laptop"), Result("cab", table, "laptop", "", [], rows))
    # The real tables have gates, and these made-up results no floors.
    monkeypatch.setattr(freeze_constants, "judgement_of", lambda paper, table, scale, root: BELOW)
    assert freeze_constants.main() == 2
    assert "cab/lstf_self at laptop has not passed its gate (below the floor)" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["freeze_constants", "--scale", "laptop", "--anyway"])
    assert freeze_constants.main() == 0
    frozen = yaml.safe_load((tmp_path / "constants.yaml").read_text())
    assert frozen["quick"] == {"causal_self": {"table": "lm"}}
    assert frozen["laptop"]["causal_self"]["metrics"] == {"perplexity": {"mean": 2.0, "sd": pytest.approx(2**0.5)}}
    assert set(frozen["laptop"]) == set(ALL_PATTERNS)
    assert "causal_self      lm           2 mechanisms, 1 seed(s)" in capsys.readouterr().out
