"""Tables: read out of their cells, run again exactly where they changed, and composed without Hydra."""

import json

import pytest

from regard_lab.common.errors import UserError
from regard_lab.experiment.composition import compose
from regard_lab.experiment.project import find_project
from regard_lab.experiment.results import read_result, result_path
from regard_lab.experiment.table_file import read_table
from regard_lab.experiment.tables import compose_rows, current_fingerprint, load_table
from tests.editing import change
from tests.paths import ROOT
from tests.regard_lab import toy


def test_a_table_is_read_out_of_its_cells(root):
    summary = toy.reproduce(root, "laptop")
    assert summary["cells"] == {"run": 8, "reused": 0, "failed": 0, "not run": 0}
    result = read_result(result_path(root, "toy", "lines", "laptop"))
    row = result.row(slope=3.0)
    assert row.metrics["height"].values == [3.0, 6.0, 9.0, 12.0]
    assert (row.metrics["height"].mean, row.metrics["height"].n, row.metrics["height"].unit) == (7.5, 4, "m")
    assert row.metrics["height"].sd == pytest.approx(15**0.5)  # sample: (4.5² + 1.5² + 1.5² + 4.5²) / 3 = 15
    assert row.curves["climb"].values[1] == [6.0, 6.0, 6.0]
    assert (row.status, row.seeds, row.cells[0]) == ("ok", [0, 1, 2, 3], "3.0-seed0")
    record = result.records["3.0-seed2"]
    assert record["identity"]["config"]["seed"] == 2
    assert record["wall_time_s"] >= 0
    assert record["peak_mib"] > 1
    assert set(record["versions"]) >= {"python", "torch"}
    assert result.fingerprint == current_fingerprint("toy", "lines", "laptop", root)


@pytest.mark.parametrize(
    ("file", "old", "new", "runs"),
    [
        ("run.py", "# A comment.", "# Another.", 0),
        ("run.py", "1 + config.seed", "2 + config.seed", 4),
        ("tables/lines.yaml", "[1.0, 3.0]", "[1.0, 4.0]", 2),  # one row is new, the other is kept
        ("tables/lines.yaml", "quick: 2", "quick: 3", 2),
        ("tables/lines.yaml", "label: height", "label: how high", 0),
        ("experiments/points.yaml", "epochs: 1", "epochs: 2", 4),
        ("experiments/points.yaml", "epochs: 3", "epochs: 5", 0),
        ("config.py", "must not be 0", "cannot be 0", 0),
    ],
)
def test_exactly_what_changed_is_run_again(root, file, old, new, runs):
    toy.reproduce(root)
    change(root / "projects" / "toy" / file, old, new)
    assert toy.reproduce(root)["cells"]["run"] == runs


@pytest.mark.parametrize(
    ("new", "absent"),
    [('{"width": height}', "height"), ('{"height": height}, {}', "climb")],
)
def test_a_run_that_leaves_out_what_the_table_shows_has_failed(root, new, absent):
    old = '{"height": height}' if absent == "height" else '{"height": height}, {"climb": [height] * config.epochs}'
    change(root / "projects/toy/run.py", old, new)
    assert toy.reproduce(root)["rows"] == {"ok": 0, "failed": 2, "not run": 0}
    (row, _) = read_result(result_path(root, "toy", "lines", "quick")).rows
    assert row.status == "failed"
    assert f"the run gave no number for {absent}" in row.reason


def test_a_removed_row_is_gone_from_the_result(root):
    toy.reproduce(root)
    change(root / "projects/toy/tables/lines.yaml", "[1.0, 3.0]", "3.0")
    toy.reproduce(root)
    assert [row.key for row in read_result(result_path(root, "toy", "lines", "quick")).rows] == [{"slope": 3.0}]


def test_a_wrong_row_is_named_before_any_work(root):
    change(root / "projects/toy/tables/lines.yaml", "[1.0, 3.0]", "[1.0, 0.0]")
    with pytest.raises(UserError, match=r"toy/lines, row \{'slope': 0.0\}: slope must not be 0, got 0.0"):
        toy.reproduce(root)
    assert toy.calls(root) == 0


@pytest.mark.parametrize("scale", ["quick", "paper"])
@pytest.mark.parametrize(
    ("paper", "table"),
    [("better_attention", "ablation_width"), ("explaining", "faithfulness"), ("smyrf", "speed"), ("cab", "benefit")],
)
def test_a_row_is_what_hydra_composes_of_its_own_values(paper: str, table: str, scale: str) -> None:
    """Tables are composed without Hydra: one sets a width that another value copies, one chooses experiments, one stands for several values."""
    project = find_project(paper, ROOT)
    file = read_table(project.folder(ROOT), table)
    sets = file.to_run().sets
    rows = list(compose_rows(project, ROOT, file, scale))
    for key, row in (rows[0], rows[len(rows) // 2], rows[-1]):
        words = [f"table={table}", f"scale={scale}", f"experiment={row.experiment}"]
        for part, value in key.items():
            target = sets[part]
            if isinstance(target, str):
                words += [f"{target}={value}"] * (target != "experiment")
            else:
                words += [f"{section}.{name}={v}" for section, new in target[value].items() for name, v in new.items()]
        assert compose(project, ROOT, words) == row


def test_a_row_that_sets_what_is_not_there_is_told_so(root) -> None:
    path = root / "projects/toy/tables/lines.yaml"
    path.write_text(path.read_text().replace("{slope: slope}", "{slope: data.slop}"))
    project = find_project("toy", root)
    with pytest.raises(UserError, match=r"toy/lines, row slope 1: unknown config key 'data\.slop'"):
        list(compose_rows(project, root, read_table(project.folder(root), "lines"), "quick"))


@pytest.mark.parametrize(
    "value",
    ["None", "null", "1e-5", "a=b", "a#b", "größe", "true", "[1]", "{a: 1}", " a b", "a,b", "~", "it's", 'a"b', "*"],
)
def test_a_rows_value_arrives_as_it_is_written(root, value):
    change(root / "projects/toy/config.py", "    slope: float", "    slope: str")
    change(root / "projects/toy/tables/lines.yaml", "[1.0, 3.0]", json.dumps([value], ensure_ascii=False))
    toy.forget()
    assert {cell.config["slope"] for cell in load_table("toy", "lines", "quick", root).cells} == {value}


@pytest.mark.parametrize("seeds", ["0", "-1"])
def test_a_table_without_seeds_is_refused(root, seeds):
    change(root / "projects/toy/tables/lines.yaml", "quick: 2", f"quick: {seeds}")
    with pytest.raises(UserError, match=f"a row needs at least one seed, got {seeds}"):
        load_table("toy", "lines", "quick", root)
