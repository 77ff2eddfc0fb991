"""Cells of tables on one executor: their order, and what is left of a cell that fails or whose process dies."""

import pytest

from regard_lab.common.errors import UserError
from regard_lab.experiment import running as executing
from regard_lab.experiment.cells import run_cell
from regard_lab.experiment.executors import ProcessEnded, executor
from regard_lab.experiment.results import read_result, result_path
from regard_lab.experiment.running import Run, left_to_run, run_tables
from regard_lab.experiment.tables import load_table
from regard_lab.reproduce import line, reproduce_table, reproduce_tables
from tests.editing import change
from tests.regard_lab import toy


def test_every_row_gets_its_first_seed_before_one_gets_its_second(root):
    table = load_table("toy", "lines", "quick", root)
    assert [cell.id for cell in table.cells] == ["1.0-seed0", "1.0-seed1", "3.0-seed0", "3.0-seed1"]
    assert [cell.id for cell in left_to_run(Run(table), root)] == ["1.0-seed0", "3.0-seed0", "1.0-seed1", "3.0-seed1"]


def test_a_table_that_has_run_is_handed_on_before_the_cells_of_others_run(root):
    """Nothing is submitted for it, and its finished cells are in it."""
    table = load_table("toy", "lines", "quick", root)
    for cell in table.cells[:2]:
        run_cell(cell, root)
    half = Run(table)
    (done,) = run_tables([half], 4, root, "inline", None, {})
    assert sorted((end.cell.id, end.outcome) for end in done.finished) == [
        ("1.0-seed0", "reused"),
        ("1.0-seed1", "reused"),
        ("3.0-seed0", "run"),
        ("3.0-seed1", "run"),
    ]
    (again,) = run_tables([Run(table)], 4, root, "inline", None, {})
    assert {end.outcome for end in again.finished} == {"reused"}
    assert toy.calls(root) == 4


def test_a_cell_that_fails_says_why_and_the_others_go_on(root):
    change(root / "projects/toy/run.py", "if config.fail:", "if config.slope == 3.0 and config.seed == 1:")
    summary = toy.reproduce(root)
    assert summary["cells"] == {"run": 3, "reused": 0, "failed": 1, "not run": 0}
    row = read_result(result_path(root, "toy", "lines", "quick")).row(slope=3.0)
    assert (row.status, row.seeds, row.metrics["height"].values) == ("failed", [0], [3.0])
    assert row.reason == "seed 1: ArithmeticError: no height"
    assert "no height" in (root / "runs/quick/toy/lines/3.0-seed1/error.txt").read_text()
    assert "no height" in line(summary)
    change(root / "projects/toy/run.py", "if config.slope == 3.0 and config.seed == 1:", "if False:")
    toy.forget()
    assert toy.reproduce(root)["rows"] == {"ok": 2, "failed": 0, "not run": 0}


def test_a_process_that_dies_is_one_failed_cell(root, monkeypatch):
    def dies(cell, root, deadline):
        if cell.id == "3.0-seed1":
            raise ProcessEnded("killed")
        return run_cell(cell, root)

    monkeypatch.setattr("regard_lab.experiment.running.run_cell_before", dies)
    summary = toy.reproduce(root)
    assert summary["cells"] == {"run": 3, "reused": 0, "failed": 1, "not run": 0}
    assert summary["reasons"] == ["seed 1: killed"]


def test_cells_on_several_devices_have_the_machine_to_themselves(root, monkeypatch):
    """They come after the others, one after the other, in no pool, under the table's lock, and leave one record each."""
    for name in ("projects/toy/experiments/points.yaml", "projects/toy/config.py"):
        path = root / name
        text = path.read_text()
        text = text.replace("fail: false", "fail: false\ndevices: 1").replace(
            "    fail: bool", "    fail: bool\n    devices: int"
        )
        path.write_text(text)
    change(
        root / "projects/toy/tables/lines.yaml",
        "rows: {slope: [1.0, 3.0]}",
        "rows: [{slope: 3.0, devices: 2}, {slope: 1.0, devices: 1}]",
    )
    change(root / "projects/toy/tables/lines.yaml", "sets: {slope: slope}", "sets: {slope: slope, devices: devices}")
    toy.forget()
    ran, made, running = [], [], 0

    def watched(cell, root, deadline):
        nonlocal running
        running += 1
        assert running == 1
        with pytest.raises(UserError, match="is being run by another process"):
            reproduce_table("toy", "lines", "quick", root, where="inline")
        ran.append((cell.devices, cell.seed))
        running -= 1
        return run_cell(cell, root)

    monkeypatch.setattr(executing, "run_cell_before", watched)
    monkeypatch.setattr(
        executing, "executor", lambda name, **options: made.append((name, options["devices"])) or executor("inline")
    )
    (summary,) = reproduce_tables([("toy", "lines")], "quick", root, where="processes", workers=2)
    assert summary["cells"]["run"] == 4
    assert ran == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert made == [("processes", 0), ("inline", 2), ("inline", 2)]
    assert len(list((root / "runs/quick/toy/lines").glob("*-seed*.json"))) == 4
