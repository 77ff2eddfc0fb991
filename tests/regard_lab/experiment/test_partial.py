"""Tables that take longer than one sitting: where they stop, and what is taken from the result when they continue."""

import shutil
import time

import numpy as np
import pytest

from regard_lab.common import files
from regard_lab.common.errors import UserError
from regard_lab.experiment import items
from regard_lab.experiment.cells import run_cell
from regard_lab.experiment.items import Outcomes
from regard_lab.experiment.partial import restore_records, run_cell_before
from regard_lab.experiment.results import read_result, result_path, write_result
from regard_lab.experiment.tables import load_table
from regard_lab.reproduce import main, reproduce_table
from tests.editing import change
from tests.regard_lab import toy


def test_no_cell_begins_after_the_deadline_and_those_that_have_finished_stay(root):
    table = load_table("toy", "lines", "quick", root)
    first, second = table.cells[:2]
    run_cell(first, root)
    assert run_cell_before(first, root, 0.0).outcome == "reused"
    late = run_cell_before(second, root, 0.0)
    assert (late.outcome, late.record) == ("not run", None)
    assert run_cell_before(second, root, time.time() + 60).outcome == "run"


def test_a_stopped_table_is_written_and_continued_from_its_result_in_another_checkout(root):
    run_cell(load_table("toy", "lines", "quick", root).cells[0], root)
    summary = reproduce_table("toy", "lines", "quick", root, where="inline", deadline=0.0)
    assert (summary["rows"], summary["cells"]["not run"]) == ({"ok": 0, "failed": 0, "not run": 2}, 3)
    shutil.rmtree(root / "runs")  # what is not in Git
    summary = reproduce_table("toy", "lines", "quick", root, where="inline", from_result=True)
    assert summary["cells"] == {"run": 3, "reused": 1, "failed": 0, "not run": 0}
    assert toy.calls(root) == 4
    shutil.rmtree(root / "runs")
    assert (
        reproduce_table("toy", "lines", "quick", root, where="inline")["cells"]["run"] == 4
    )  # only if it is asked for


def test_only_records_of_the_code_as_it_is_are_taken(root):
    toy.reproduce(root)
    shutil.rmtree(root / "runs")
    change(root / "projects/toy/run.py", "1 + config.seed", "2 + config.seed")
    toy.forget()
    assert restore_records(load_table("toy", "lines", "quick", root), root) == 0


def test_test_items_come_back_with_their_cell(root):
    toy.reproduce(root)
    table = load_table("toy", "lines", "quick", root)
    cell, path = table.cells[0], result_path(root, "toy", "lines", "quick")
    outcomes = {"height": Outcomes(np.array([1.0, 2.0, 3.0]), np.array([4, 5, 9]))}
    beside = items.path_beside(cell.record_path(root))
    files.write_atomically(beside, items.packed({cell.id: outcomes}))
    record = files.read_json(cell.record_path(root)) | {"items": {"sha256": files.sha256(beside), "n": {"height": 3}}}
    result = read_result(path)
    result.records[cell.id] = record
    object.__setattr__(result, "items", items.collect({cell.id: (cell.record_path(root), record)}, path))
    write_result(path, result)
    shutil.rmtree(root / "runs")
    assert restore_records(table, root) == 4
    back = items.read(beside, files.read_json(cell.record_path(root))["items"]["sha256"])[cell.id]["height"]
    assert (back.values.tolist(), back.numbers.tolist()) == ([1.0, 2.0, 3.0], [4, 5, 9])


def test_a_damaged_result_is_an_error(root):
    toy.reproduce(root)
    shutil.rmtree(root / "runs")
    result_path(root, "toy", "lines", "quick").write_text('{"paper": "toy"}')
    with pytest.raises(UserError, match="is not a table's result"):
        restore_records(load_table("toy", "lines", "quick", root), root)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from-result"], "--minutes and --from-result go with tables"),
        (["--minutes", "5"], "--minutes and --from-result go with tables"),
        (["toy/lines", "--minutes", "-5"], "--minutes must be more than 0, got -5"),
        (["toy/lines", "--minutes", "nan"], "--minutes must be more than 0, got nan"),
    ],
)
def test_what_has_no_meaning_is_refused(root, monkeypatch, capsys, words, message):
    monkeypatch.setattr("sys.argv", ["reproduce", *words])
    assert main() == 2
    assert message in capsys.readouterr().err
