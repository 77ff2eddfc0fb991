import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from regard_lab.common.errors import UserError
from regard_lab.experiment.results import Result, result_path, write_result
from regard_lab.report.site import publish, render
from tests.regard_lab.report.sample_site import LAPTOP, QUICK, current, snapshot
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
    assert publish(render(root, current), folder)[1] == 1
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


def run(root: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["regard_lab.report", "--root", str(root)])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("regard_lab.report", run_name="__main__")
    assert isinstance(end.value.code, int)
    return end.value.code


def test_the_command(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, monkeypatch) == 0
    assert "reports/index.html: 15 files, 15 changed, 0 removed" in capsys.readouterr().out
    soup = BeautifulSoup((root / "reports" / "sample.html").read_text(), "html.parser")
    assert soup.select("#scores .stale"), "a table that the code does not know any more is stale"


def test_a_result_cut_in_half_ends_in_one_sentence(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, monkeypatch) == 0
    before = snapshot(root / "reports")
    path = result_path(root, "sample", "scores", "laptop")
    path.write_bytes(path.read_bytes()[:500])
    capsys.readouterr()
    assert run(root, monkeypatch) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert "scores.json is not complete JSON" in message
    assert snapshot(root / "reports") == before


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


def test_the_shipped_papers_render() -> None:
    files = render(Path(__file__).parents[3], current)
    assert "better_attention.html" in files
    assert "tables/better_attention-inference.csv" in files


def test_dvc_reads_small_files(root: Path) -> None:
    """`dvc metrics show` and `dvc plots show`: verdicts and what has been run, and one metric of each table at the best scale."""
    files = render(root, current)
    said = json.loads(files["metrics.json"])["sample"]
    assert said["claims"] == {"holds": 1, "fails": 0, "undecided": 0, "gated": 0, "not run": 1}
    assert (said["tables"], said["stale"]) == ({"paper": 0, "laptop": 1, "quick": 0, "none": 1}, 0)
    assert files["plots/sample-scores.csv"].decode().splitlines() == [
        "row,value,metric,scale",
        "old,70.5,accuracy,laptop",
        "new,73.6,accuracy,laptop",
    ]
    assert "plots/sample-later.csv" not in files
