"""Cells: when a record counts, what a failure is, and for whom a folder is kept."""

from dataclasses import replace

import pytest

from regard_lab.common import files
from regard_lab.experiment.cells import finished_record, run_cell
from regard_lab.experiment.tables import load_table
from tests.editing import change
from tests.regard_lab import toy


def test_a_number_that_is_not_finite_is_a_failure(root):
    change(root / "projects/toy/run.py", "height = config.slope", "height = float('nan') * config.slope")
    assert toy.reproduce(root)["reasons"] == [
        "seed 0: ArithmeticError: not a finite number: height = nan; seed 1: ArithmeticError: not a finite number: height = nan"
    ]


def test_a_record_cut_in_half_is_run_again(root):
    toy.reproduce(root)
    cell = load_table("toy", "lines", "quick", root).cells[0]
    path = cell.record_path(root)
    path.write_text(path.read_text()[:100])
    assert finished_record(cell, root) is None
    assert toy.reproduce(root)["cells"]["run"] == 1


def test_a_folder_is_kept_for_the_same_cell_only(root):
    cell = load_table("toy", "lines", "quick", root).cells[0]
    folder = cell.folder(root)
    (folder / "checkpoints").mkdir(parents=True)
    files.write_json(folder / "identity.json", cell.identity())
    (folder / "mine").write_text("kept")
    run_cell(cell, root)
    assert (folder / "mine").exists()
    assert not (folder / "checkpoints").exists()  # finished: nothing to go on from
    cell.record_path(root).unlink()
    files.write_json(folder / "identity.json", cell.identity() | {"fingerprint": "of other code"})
    run_cell(cell, root)
    assert not (folder / "mine").exists()


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("from regard_lab.common.errors import UserError; raise UserError('one cell says no')", "one cell says no"),
        ("raise type('Odd', (Exception,), {})(lambda: 0)", "Odd: "),
    ],
)
def test_one_bad_cell_is_one_failed_cell(root, raised, reason):
    change(
        root / "projects/toy/run.py",
        "if config.fail:",
        f"if config.slope == 3.0 and config.seed == 1:\n        {raised}\n    if config.fail:",
    )
    summary = toy.reproduce(root)
    assert summary["cells"] == {"run": 3, "reused": 0, "failed": 1, "not run": 0}
    assert reason in summary["reasons"][0]
    assert str(root) not in summary["reasons"][0]


@pytest.mark.parametrize("value", ["float('nan')", "object()", "{1, 2}"])
def test_what_no_record_can_hold_fails_its_cell_alone(root, value):
    change(root / "projects/toy/run.py", "[height] * config.epochs}", f"[{value} if config.seed else height]}}")
    summary = toy.reproduce(root)
    assert summary["cells"] == {"run": 2, "reused": 0, "failed": 2, "not run": 0}


@pytest.mark.parametrize("content", [b"[]", b'"text"', b"{}", b"\xff", b'{"identity": 1}'])
def test_a_record_of_another_shape_is_run_again(root, content):
    toy.reproduce(root)
    path = load_table("toy", "lines", "quick", root).cells[0].record_path(root)
    path.write_bytes(content)
    assert toy.reproduce(root)["cells"]["run"] == 1


def test_a_cells_folder_that_is_a_file_or_a_link_makes_way(root, tmp_path):
    first, second, *_ = load_table("toy", "lines", "quick", root).cells
    first.folder(root).parent.mkdir(parents=True)
    first.folder(root).write_text("a file")
    (theirs := tmp_path / "theirs").mkdir()
    (theirs / "kept").write_text("kept")
    second.folder(root).symlink_to(theirs)
    assert toy.reproduce(root)["cells"]["run"] == 4
    assert (theirs / "kept").exists()


def test_devices_are_the_most_that_a_section_asks_for(root):
    cell = load_table("toy", "lines", "quick", root).cells[0]
    assert cell.devices == 1
    assert (
        replace(cell, config={"gan": {"training": {"devices": 4}}, "training": {"devices": 2}, "n": [1]}).devices == 4
    )
