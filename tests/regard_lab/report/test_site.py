"""The site: the same bytes each time, nothing of anybody else removed, and every failure one sentence."""

from dataclasses import replace
from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.experiment.results import Result, result_path, write_result
from regard_lab.report.site import publish, render
from tests.paths import ROOT
from tests.regard_lab.report.sample_site import LAPTOP, QUICK, current, page, snapshot, words
from tests.regard_lab.samples import row


def test_a_second_run_changes_no_byte(root: Path) -> None:
    folder = root / "reports"
    written, removed = publish(render(root, current), folder)
    assert (written, removed) == (len(snapshot(folder)) - 1, 0)
    before = snapshot(folder)
    assert publish(render(root, current), folder) == (0, 0)
    assert snapshot(folder) == before


def test_only_what_the_report_wrote_is_removed(root: Path) -> None:
    folder = root / "reports"
    publish(render(root, current), folder)
    (folder / "notes.txt").write_text("mine")
    (root / "projects" / "sample" / "figures.py").unlink()
    assert publish(render(root, current), folder)[1] == 2  # the drawing, and the page of its script
    assert not (folder / "figures" / "sample-scores.svg").exists()
    assert (folder / "notes.txt").read_text() == "mine"
    assert "figures/sample-scores.svg" not in (folder / "files.json").read_text()


@pytest.mark.parametrize("names", ['["../outside.txt"]', '["/etc/passwd"]', '{"a": 1}', "[1]"])
def test_a_list_that_points_elsewhere_is_not_followed(root: Path, names: str) -> None:
    (root / "reports").mkdir()
    (root / "outside.txt").write_text("mine")
    (root / "reports" / "files.json").write_text(names)
    with pytest.raises(UserError, match="not the report's list of files"):
        publish(render(root, current), root / "reports")
    assert (root / "outside.txt").exists()


def test_a_full_disk_leaves_the_old_page(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "reports"
    publish(render(root, current), folder)
    before = snapshot(folder)
    write_result(result_path(root, "sample", "scores", "quick"), replace(QUICK, rows=[]))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match=r"No space left on device; the old file is intact"):
        publish(render(root, current), folder)
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (replace(LAPTOP, table="other"), "says it is sample/other at scale laptop"),
        (
            replace(LAPTOP, rows=[row({"attention": "old"}, {"accuracy": [0.7]}, unit="1")]),
            "is in '1', but tables/scores.yaml gives it in '%'",
        ),
        (
            replace(LAPTOP, rows=[row({"attention": "old"}, {"accuracy": [70.0]}, seeds=[0, 1])]),
            "1 values of accuracy for 2 seeds",
        ),
    ],
)
def test_results_that_contradict_are_refused(root: Path, broken: Result, complaint: str) -> None:
    write_result(result_path(root, "sample", "scores", "laptop"), broken)
    with pytest.raises(UserError, match=complaint):
        render(root, current)


def test_a_folder_without_papers(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no projects/\*/paper\.yaml below"):
        render(tmp_path, current)


def test_figures_need_their_dictionary(root: Path) -> None:
    (root / "projects" / "sample" / "figures.py").write_text("")
    with pytest.raises(UserError, match="has no dictionary FIGURES"):
        render(root, current)


def test_the_shipped_papers_render(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the repository's root, which is how the command calls it: a relative path."""
    monkeypatch.chdir(ROOT)
    files = render(Path(), current)
    assert "better_attention.html" in files
    assert "tables/better_attention-inference.csv" in files


def test_a_table_that_waits_for_its_data_does_not_count_as_run(root: Path) -> None:
    waiting = [replace(row, status="not run", reason="no folder", seeds=[], metrics={}) for row in QUICK.rows]
    write_result(result_path(root, "sample", "scores", "quick"), replace(QUICK, rows=waiting))
    overview = words(page(root, "index.html").select_one("table.overview tbody"))
    assert "laptop: 1 of 2 tables none" in overview
