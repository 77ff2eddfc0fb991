"""A result is written and read back whole, and its numbers are those of its seeds."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.experiment.results import (
    Curve,
    DataUse,
    Metric,
    Restamp,
    Result,
    Row,
    read_result,
    result_path,
    write_result,
)

RESULT = Result(
    paper="toy",
    table="lines",
    scale="laptop",
    fingerprint="f",
    data=[DataUse("points", None, "0" * 64), DataUse("more", "The real one", "1" * 64)],
    rows=[
        Row({"slope": 1.0}, {"height": Metric.of([1.0, 4.0], "m")}, "ok", "", [0, 1], ["a", "b"], {"climb": Curve("m", [[1.0], [4.0]])}),
        Row({"slope": 3.0, "steep": True}, {}, "failed", "seed 0: ArithmeticError", [], []),
    ],
    records={"a": {"wall_time_s": 0.1 + 0.2}},
    code={"projects.toy.run": {"run": "abc"}},
    restamps=[Restamp("e", "f", ["a"], ["height"], [], "the record", "A processor", None, "2026-01-02")],
)  # fmt: skip


def test_a_metric_by_hand() -> None:
    """1, 2, 6: the mean is 3, and the squares of what is left sum to 4 + 1 + 9 over two degrees of freedom."""
    metric = Metric.of([1.0, 2.0, 6.0], "%")
    assert (metric.mean, metric.sd, metric.n, metric.values) == (3, math.sqrt(7), 3, [1, 2, 6])
    alone = Metric.of([2.5], "%")
    assert (alone.mean, alone.sd, alone.n) == (2.5, None, 1)


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    path = result_path(tmp_path, "toy", "lines", "laptop")
    assert path == tmp_path / "results" / "laptop" / "toy" / "lines.json"
    write_result(path, RESULT)
    assert read_result(path) == RESULT


def test_a_row_is_found_by_its_whole_key() -> None:
    assert RESULT.row(slope=1.0) is RESULT.rows[0]
    assert RESULT.row(steep=True, slope=3.0) is RESULT.rows[1]
    assert RESULT.row(slope=3.0) is None


def test_results_from_before_code_and_proofs_were_kept_are_read(tmp_path: Path) -> None:
    write_result(tmp_path / "r.json", RESULT)
    value = json.loads((tmp_path / "r.json").read_text())
    del value["code"], value["restamps"]
    (tmp_path / "r.json").write_text(json.dumps(value))
    assert read_result(tmp_path / "r.json") == replace(RESULT, code={}, restamps=[])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda value: value["rows"][0].pop("seeds"), "KeyError: 'seeds'"),
        (lambda value: value["data"][0].update(colour="red"), "TypeError: .*colour"),
        (lambda value: value["rows"][0]["metrics"].update(height=7), "TypeError"),
        (lambda value: value["rows"][0].update(metrics=[]), "AttributeError"),
        (lambda value: value["rows"][0].update(curves=None), "AttributeError"),
        (lambda value: value.update(records=[]), "TypeError: records is a list"),
        (lambda value: value.update(code=5), "TypeError: code is a int"),
    ],
)
def test_a_file_of_another_shape_is_one_sentence(tmp_path: Path, spoil, message: str) -> None:
    write_result(tmp_path / "r.json", RESULT)
    value = json.loads((tmp_path / "r.json").read_text())
    spoil(value)
    (tmp_path / "r.json").write_text(json.dumps(value))
    with pytest.raises(UserError, match=rf"r\.json is not a table's result \({message}.*\); delete it and run again"):
        read_result(tmp_path / "r.json")
