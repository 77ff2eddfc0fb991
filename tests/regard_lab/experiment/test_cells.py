"""Cells: when a record counts, what a failure is, and for whom a folder is kept."""

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
