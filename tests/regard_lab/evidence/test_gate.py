"""The gate: a table that must fail each of its three conditions, one that passes, and floors that are computed, kept and shown."""

import math
import re
import sys
from dataclasses import replace

import pytest
from scipy import stats

from regard_lab import gate as command
from regard_lab.common.errors import UserError
from regard_lab.evidence import claims
from regard_lab.evidence.gate import CurveRule, Floor, Gate, judge, judge_after, problems_of, read_gates
from regard_lab.evidence.paper import Claim
from regard_lab.experiment.results import Curve, Metric, Result, Row, read_result, result_path, write_result
from regard_lab.experiment.table_file import read_table
from regard_lab.reproduce import reproduce_table
from tests.regard_lab import toy

GATE = Gate(
    metric="accuracy",
    direction="higher",
    margin=1.0,
    reason="a point is what a reader would notice",
    reference={"attention": "softmax"},
    floors={"majority": Floor("nowhere:at_all")},
    curve=CurveRule("validation_accuracy", "higher", 0.2),
    governs=("accuracy",),
)
ENDED = [50.0, 70.0, 79.0, 79.9, 80.0]


def row(key, values, curve=ENDED):
    metric = Metric.of(list(values), "%")
    curves = {"validation_accuracy": Curve("%", [list(curve) for _ in values])}
    return Row(key, {"accuracy": metric}, "ok", "", list(range(len(values))), [], curves)


def result(softmax=(80.0, 80.2, 79.8), smyrf=(75.0, 75.2, 74.9), floor=(50.0,), curve=ENDED):
    rows = [row({"attention": "softmax"}, softmax), row({"attention": "smyrf"}, smyrf, curve)]
    return Result("p", "t", "laptop", "f", [], rows, floors=[row({"floor": "majority"}, floor)] if floor else [])


def test_a_table_that_passes():
    judged = judge([GATE], result())
    assert judged.status == "passed"
    assert judged.sentence.startswith("The best floor, majority, is beaten: softmax 80, floor 50 %; training had ended")


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"floor": (81.0,)}, "below the floor", "The floor majority is not beaten: softmax 80, floor 81 %"),
        ({"floor": (79.5,)}, "below the floor", "is beaten by less than 1 %: softmax 80, floor 79.5"),
        ({"floor": (78.9,)}, "below the floor", "seeds leave open whether the floor majority is beaten by 1 %"),
        ({"softmax": (80.0,), "smyrf": (75.0,)}, "below the floor", "one seed cannot show"),
        ({"floor": ()}, "below the floor", "The floor majority has not been computed"),
        ({"curve": [50, 60, 70, 75, 75.5]}, "not converged", "best validation accuracy of smyrf still improved by 0.5 in the last epoch of 5"),
        ({"curve": [50]}, "not converged", "smyrf was trained for one epoch"),
        ({"smyrf": (80.1, 79.9, 80.0)}, "no signal", r"Rows differ no more than seeds do \(F = 0"),
    ],
)  # fmt: skip
def test_a_table_that_fails(change, status, says):
    judged = judge([GATE], result(**change))
    assert judged.status == status
    assert re.search(says, judged.sentence, re.IGNORECASE), judged.sentence


def test_every_reason_is_given_and_the_gravest_is_the_status():
    judged = judge([GATE], result(floor=(90.0,), smyrf=(80.1, 79.9, 80.0), curve=[50, 60]))
    assert judged.status == "below the floor"
    assert all(words in judged.sentence for words in ("floor majority", "still improved by 10", "no more than seeds"))


def test_a_table_without_a_curve_does_not_show_that_training_ended():
    assert judge([replace(GATE, curve=None)], result()).status == "not converged"


def test_models_that_are_not_trained_here_need_no_curve():
    untrained = replace(GATE, curve=None, trained=False)
    assert judge([untrained], result()).status == "passed"
    assert judge([untrained], result(floor=(81.0,))).status == "below the floor"


def test_less_is_better_for_a_loss():
    gate = replace(GATE, direction="lower")
    assert judge([gate], result(floor=(95.0,))).status == "passed"
    assert judge([gate], result(floor=(50.0,))).status == "below the floor"


def test_a_rising_validation_loss_after_the_best_epoch_is_an_end():
    gate = replace(GATE, curve=CurveRule("validation_accuracy", "lower", 0.0))
    assert judge([gate], result(curve=[3.0, 2.0, 1.0, 1.2, 1.4])).problems[0].ending.gain == 0


def test_rows_that_share_what_is_judged_need_no_signal():
    shared = result(smyrf=(80.0, 80.2, 79.8))
    assert judge([GATE], shared).status == "no signal"
    judged = judge([replace(GATE, signal=False)], shared)
    assert judged.status == "passed"
    assert judged.problems[0].signal is None
    assert judge([replace(GATE, signal=False)], result(floor=(81.0,))).status == "below the floor"


def test_the_signal_is_that_of_scipy():
    found = judge([GATE], result()).problems[0].signal
    expected = stats.f_oneway((80.0, 80.2, 79.8), (75.0, 75.2, 74.9))
    assert (found.f, found.p) == pytest.approx((expected.statistic, expected.pvalue))


def test_the_lead_over_a_floor_with_seeds_is_that_of_welch():
    lead = judge([GATE], result(floor=(50.0, 51.0, 49.0))).problems[0].leads[0]
    expected = stats.ttest_ind((80.0, 80.2, 79.8), (50.0, 51.0, 49.0), equal_var=False)
    assert lead.low == pytest.approx(expected.confidence_interval(0.9).low)


def test_a_row_can_be_a_floor():
    gate = replace(GATE, floors={}, floor_rows=({"attention": "smyrf"},))
    assert judge([gate], result()).status == "passed"
    assert judge([gate], result(smyrf=(81.0, 80.8, 81.1))).status == "below the floor"


def test_problems_are_judged_apart():
    gate = replace(GATE, problems=("data",), margin=0.0)
    rows = [
        row({"attention": name, "data": data}, values)
        for name, values in (("softmax", (80.0, 80.2, 79.8)), ("smyrf", (75.0, 75.2, 74.9)))
        for data in ("imdb", "mnist")
    ]
    floors = [row({"floor": "majority", "data": data}, (value,)) for data, value in (("imdb", 50.0), ("mnist", 99.0))]
    judged = judge([gate], replace(result(), rows=rows, floors=floors))
    assert problems_of(gate, [one.key for one in rows]) == [{"data": "imdb"}, {"data": "mnist"}]
    assert [problem.status for problem in judged.problems] == ["passed", "below the floor"]
    assert judged.status == "below the floor"
    assert judged.of({"attention": "smyrf", "data": "imdb"}, "accuracy").status == "passed"
    assert judged.sentence.startswith("Mnist: ")


def test_two_metrics_can_be_two_problems():
    def both(one):
        return replace(one, metrics={**one.metrics, "recall": one.metrics["accuracy"]})

    whole = replace(result(), rows=[both(one) for one in result().rows], floors=[both(one) for one in result().floors])
    gates = [GATE, replace(GATE, metric="recall", governs=("recall", "f1"), margin=50.0)]
    judged = judge(gates, whole)
    assert [problem.status for problem in judged.problems] == ["passed", "below the floor"]
    assert judged.sentence.startswith("Recall: the floor majority is beaten by less than 50 %")
    assert judged.of({"attention": "smyrf"}, "f1").status == "below the floor"
    assert judged.of({"attention": "smyrf"}, "loss") is None


CLAIM = Claim(
    kind="experiment",
    group="g",
    id="worse", says="SMYRF is worse.", source="", check="better", table="t", metric="accuracy",
    row={"attention": "softmax"}, against={"attention": "smyrf"},
)  # fmt: skip


def test_a_claim_waits_for_the_gate():
    def verdict(one, gate):
        return claims.judge(CLAIM, {"laptop": one}, judgements={"laptop": judge([gate], one)})[0]

    open_gate, shut = verdict(result(), GATE), verdict(result(floor=(81.0,)), GATE)
    other = verdict(result(floor=(81.0,)), replace(GATE, governs=("loss",)))
    assert [open_gate.verdict, shut.verdict, other.verdict] == ["holds", "gated", "holds"]
    assert shut.sentence.startswith("Not judged, below the floor: the floor majority is not beaten")
    assert open_gate.sentence in shut.sentence


def test_a_table_waits_for_those_that_it_is_computed_from():
    passed, below = judge([GATE], result()), judge([GATE], result(floor=(81.0,)))
    assert judge_after({"a": passed}).status == "passed"
    both = judge_after({"a": passed, "b": below})
    assert (both.status, both.sentence) == (
        "below the floor",
        "It is computed from tables that have not passed: b (below the floor).",
    )
    assert judge_after({"a": passed, "b": None}).status == "below the floor"
    (verdict,) = claims.judge(CLAIM, {"laptop": result()}, judgements={"laptop": both})
    assert verdict.verdict == "gated"


FLOORS = """
from pathlib import Path
from regard_lab.experiment.run_result import RunResult

def flat(config, folder):
    count = Path.cwd() / "floors"
    count.write_text(count.read_text() + "." if count.exists() else ".")
    return RunResult({"height": 0.5 * config.epochs})
"""
TOY_GATE = """
gate:
  metric: height
  direction: higher
  margin: 0.1
  reason: a toy
  reference: {slope: 3.0}
  floors: {flat: "projects.toy.floors:flat"}
  curve: {name: climb, direction: higher, tolerance: 0.0}
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    folder = toy.write_toy(tmp_path, monkeypatch)
    table = folder / "projects/toy/tables/lines.yaml"
    table.write_text(table.read_text() + TOY_GATE)
    (folder / "projects/toy/floors.py").write_text(FLOORS)
    return folder


def test_floors_are_computed_with_the_table_and_kept(root, monkeypatch, capsys):
    reproduce_table("toy", "lines", "laptop", root, where="inline")
    kept = read_result(result_path(root, "toy", "lines", "laptop"))
    assert [(one.key, one.metrics["height"].values) for one in kept.floors] == [({"floor": "flat"}, [1.5])]
    assert [record["metrics"] for record in kept.floor_records.values()] == [{"height": 1.5}]
    assert kept.floors[0].cells == list(kept.floor_records)
    assert kept.gate["status"] == "passed"
    monkeypatch.setattr(sys, "argv", ["gate", "--scale", "laptop"])
    assert command.main() == 0
    assert "toy/lines" in (said := capsys.readouterr().out)
    assert "0 below the floor, 0 not converged, 0 no signal, 1 passed" in said
    assert (root / "floors").read_text() == "."


def test_a_floor_that_changes_is_computed_anew_and_no_cell_is(root):
    reproduce_table("toy", "lines", "laptop", root, where="inline")
    ran = toy.calls(root)
    path = root / "projects/toy/floors.py"
    path.write_text(path.read_text().replace("0.5", "40.0"))
    toy.forget()
    before = read_result(result_path(root, "toy", "lines", "laptop"))
    after, judgement = command.with_floors(before, root)
    assert (judgement.status, after.fingerprint) == ("below the floor", before.fingerprint)
    assert toy.calls(root) == ran


def test_a_floor_without_its_record_is_computed_again(root, monkeypatch):
    reproduce_table("toy", "lines", "laptop", root, where="inline")
    path = result_path(root, "toy", "lines", "laptop")
    complete = read_result(path)
    write_result(path, replace(complete, floor_records={}))
    monkeypatch.setattr(sys, "argv", ["gate", "toy/lines"])
    assert command.main() == 0
    assert read_result(path) == complete


def test_what_changed_in_the_file_while_floors_were_computed_stays(root, monkeypatch):
    reproduce_table("toy", "lines", "laptop", root, where="inline")
    path = result_path(root, "toy", "lines", "laptop")
    write_result(path, replace(read_result(path), floors=[], floor_fingerprint=None))
    really = command.with_floors

    def meanwhile(result, root):
        write_result(path, replace(result, fingerprint="moved by a proof"))
        return really(result, root)

    monkeypatch.setattr(command, "with_floors", meanwhile)
    monkeypatch.setattr(sys, "argv", ["gate", "toy/lines"])
    assert command.main() == 0
    after = read_result(path)
    assert (after.fingerprint, len(after.floors)) == ("moved by a proof", 1)


def test_quick_has_no_floors(root):
    reproduce_table("toy", "lines", "quick", root, where="inline")
    assert read_result(result_path(root, "toy", "lines", "quick")).floors == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("metric: height", "metric: hight", "there is no column 'hight'. Did you mean 'height'"),
        ("name: climb", "name: clim", "the table has no curve 'clim'. Did you mean 'climb'"),
        ("reference: {slope: 3.0}", "reference: {slop: 3.0}", "no row's key has a part 'slop'"),
        ("margin: 0.1", "margin: -1", "margin and tolerance must not be negative, got -1 and 0"),
        ('{flat: "projects.toy.floors:flat"}', "{}", "a gate needs a floor"),
        ("direction: higher\n  margin", "direction: up\n  margin", "expected one of higher, lower, got 'up'"),
    ],
)
def test_a_wrong_gate_is_one_sentence(root, old, new, message):
    path = root / "projects/toy/tables/lines.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=message) as caught:
        read_gates(read_table(root / "projects/toy", "lines"))
    assert "\n" not in str(caught.value)


def test_no_gain_is_infinite_but_of_one_epoch():
    assert math.isinf(judge([GATE], result(curve=[50.0])).problems[0].ending.gain)
