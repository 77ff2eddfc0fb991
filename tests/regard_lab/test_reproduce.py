"""Bringing tables up to date: what is run and reused, what a failure leaves, and what a user is told."""

import errno
import json
import subprocess
import sys

import pytest

from regard_lab import reproduce
from regard_lab.common import files
from regard_lab.common.errors import DataMissing, UserError
from regard_lab.experiment.executors import executor
from regard_lab.experiment.results import read_result, result_path
from regard_lab.reproduce import main, read_scales, reproduce_all, reproduce_tables, summary_path
from tests.editing import change
from tests.paths import ROOT
from tests.regard_lab import toy


def test_what_has_run_is_not_run_again(root):
    toy.reproduce(root)
    before = files.read_json(summary_path(root, "toy", "lines", "quick"))
    assert before["cells"]["run"] == 4
    assert toy.reproduce(root)["cells"] == {"run": 0, "reused": 4, "failed": 0, "not run": 0}
    assert toy.calls(root) == 4
    assert files.read_json(summary_path(root, "toy", "lines", "quick")) == before  # of the run that made the result


def test_a_full_disk_leaves_the_old_result(root, monkeypatch):
    toy.reproduce(root)
    path = result_path(root, "toy", "lines", "quick")
    before = path.read_bytes()
    change(root / "projects/toy/run.py", "1 + config.seed", "2 + config.seed")
    real = files.os.replace

    def full(source, target):
        if str(target).endswith("results/quick/toy/lines.json"):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(
        UserError,
        match=r"could not write [\d,]+ bytes to .*lines.json: No space left on device; the old file is intact",
    ):
        toy.reproduce(root)
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".*part"))


def test_two_runs_of_one_table_at_once_are_refused(root):
    holder = """
import fcntl, pathlib, sys
path = pathlib.Path("runs/quick/toy/lines/.lock"); path.parent.mkdir(parents=True)
file = open(path, "w"); fcntl.flock(file, fcntl.LOCK_EX); print("held", flush=True); sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", holder], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        with pytest.raises(UserError, match="is being run by another process"):
            toy.reproduce(root)
        other.stdin.close()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["toy/lines", "--scale", "quick"], 0, ""),
        (["toy/lines", "--scale", "hug"], 2, "there is no scale 'hug'"),
        (["toy/lane"], 2, "toy has no table 'lane'. Did you mean 'lines'"),
        (["toy/lines", "toy/lane"], 2, "toy has no table 'lane'"),
        (["tay/lines"], 2, "there is no project 'tay'. Did you mean 'toy'"),
        (["lines"], 2, "a table is named PAPER/TABLE"),
        (["toy/lines", "--option", "x"], 2, "--option takes KEY=VALUE"),
        (["--scale", "quick"], 2, "--scale goes with a table"),
        (["toy/lines", "--workers", "-3"], 2, "workers must be at least 1, got -3"),
        (["toy/lines", "--workers", "0"], 2, "workers must be at least 1, got 0"),
        (["toy/lines", "--option", "x=["], 2, "x=[: the value cannot be read"),
    ],
)
def test_the_command(root, monkeypatch, capsys, arguments, code, message):
    monkeypatch.setattr(sys, "argv", ["reproduce", *arguments, "--executor", "inline"])
    assert main() == code
    assert message in capsys.readouterr().err


def test_a_failed_cell_is_exit_code_1(root, monkeypatch, capsys):
    change(root / "projects/toy/run.py", "if config.fail:", "if True:")
    monkeypatch.setattr(sys, "argv", ["reproduce", "toy/lines", "--executor", "inline"])
    assert main() == 1
    assert "rows: 2 failed" in capsys.readouterr().out


def test_tables_of_one_command_are_checked_before_one_runs_and_each_has_its_result(root, monkeypatch, capsys):
    (root / "params.yaml").write_text("scales: [laptop]\n")
    tables = root / "projects/toy/tables"
    (tables / "others.yaml").write_text((tables / "lines.yaml").read_text())
    change(root / "projects/toy/paper.yaml", "[lines]", "[lines, others]")
    monkeypatch.setattr(sys, "argv", ["reproduce", "toy/lines", "toy/others", "--executor", "inline"])
    change(tables / "others.yaml", "seeds:", "seats:")
    assert main() == 2
    assert toy.calls(root) == 0
    change(tables / "others.yaml", "seats:", "seeds:")
    change(tables / "lines.yaml", "experiment: points", "run: projects.toy.run:broken\nexperiment: points")
    with (root / "projects/toy/run.py").open("a") as file:
        file.write("\ndef broken(config, folder):\n    raise ArithmeticError\n")
    assert main() == 1
    assert [text.split()[0] for text in capsys.readouterr().out.splitlines()[:1]] == ["toy/lines"]
    assert read_result(result_path(root, "toy", "others", "quick")).rows[0].status == "ok"


@pytest.mark.parametrize(
    ("content", "message"), [("scales: []", "must be a list"), ("x: 1", "KeyError"), ("scales: [big]", "'big'")]
)
def test_params_are_checked(root, content, message):
    (root / "params.yaml").write_text(content)
    with pytest.raises(UserError, match=message):
        read_scales(root)


@pytest.mark.parametrize(("limit", "workers"), [("", [None]), ("workers: 1", [None, 1])])
def test_tables_share_an_executor_unless_one_says_how_many_cells_may_run(root, monkeypatch, limit, workers):
    """Started when a cell needs it, and not for what has run."""
    started = []

    def counted(where, workers, **options):
        started.append(workers)
        return executor("inline")

    (root / "params.yaml").write_text("scales: [laptop]\n")
    tables = root / "projects/toy/tables"
    (tables / "others.yaml").write_text((tables / "lines.yaml").read_text() + limit)
    change(root / "projects/toy/paper.yaml", "[lines]", "[lines, others]")
    monkeypatch.setattr("regard_lab.experiment.running.executor", counted)
    monkeypatch.setattr("regard_lab.reproduce.import_early", lambda modules: None)
    for new in (workers, []):
        summaries = list(reproduce_tables([("toy", "lines"), ("toy", "others")], "quick", root))
        assert [summary["table"] for summary in summaries] == ["toy/lines", "toy/others"]
        assert started == new
        started.clear()


def test_everything_runs_what_dvc_would_run_and_then_dvc(root, monkeypatch, capsys):
    """A table whose stage is up to date is not even composed; the stages come last and find their cells."""
    (root / "params.yaml").write_text("scales: [laptop]\n")
    tables = root / "projects/toy/tables"
    (tables / "others.yaml").write_text((tables / "lines.yaml").read_text())
    change(root / "projects/toy/paper.yaml", "[lines]", "[lines, others]")
    asked = []

    def dvc(root, *words, **options):
        asked.append((words, toy.calls(root)))
        changed = {"pipelines/toy/dvc.yaml:table@others-laptop": ["changed"], "fingerprints": ["always changed"]}
        return subprocess.CompletedProcess(words, 0, json.dumps(changed) if "status" in words else "")

    monkeypatch.setattr("regard_lab.reproduce._dvc", dvc)
    monkeypatch.setattr("regard_lab.experiment.running.executor", lambda *_, **__: executor("inline"))
    monkeypatch.setattr("regard_lab.reproduce.import_early", lambda modules: None)
    assert reproduce_all(root) == 0
    assert asked == [
        (("repro", "fingerprints"), 0),
        (("status", "--json"), 0),
        (("repro", "--keep-going"), 8),
    ]
    told = capsys.readouterr().out
    assert "toy/others                       laptop  rows: 2 ok; cells: 8 run" in told
    assert "toy/lines                        laptop  not run" in told


def test_a_table_that_is_wrong_leaves_the_others_to_their_stages(root, monkeypatch, capsys):
    (root / "params.yaml").write_text("scales: [laptop]\n")
    change(root / "projects/toy/tables/lines.yaml", "[1.0, 3.0]", "[1.0, 0.0]")
    asked = []

    def dvc(root, *words, **options):
        asked.append(words[0])
        return subprocess.CompletedProcess(words, 1, "")

    monkeypatch.setattr("regard_lab.reproduce._dvc", dvc)
    monkeypatch.setattr("regard_lab.reproduce.import_early", lambda modules: None)
    monkeypatch.setattr("regard_lab.reproduce.subprocess.run", lambda *_, **__: None)
    assert reproduce_all(root) == 1
    assert asked == ["repro", "status", "repro"]
    assert "slope must not be 0" in capsys.readouterr().err


def inline(monkeypatch):
    """Everything in this process, without the report: how it was asked for."""
    asked, started = [], subprocess.run

    def run(words, **options):
        if "regard_lab.report" not in words:
            return started(words, **options)
        return asked.append(words[1:])

    monkeypatch.setattr("regard_lab.experiment.running.executor", lambda *_, **__: executor("inline"))
    monkeypatch.setattr("regard_lab.reproduce.import_early", lambda modules: None)
    monkeypatch.setattr("regard_lab.reproduce.subprocess.run", run)
    return asked


def test_quick_results_leave_a_clean_checkout_clean(root, monkeypatch, capsys):
    """No stage of DVC is run, whose locks are in Git; the pages go to a folder that is not."""
    asked = inline(monkeypatch)
    monkeypatch.setattr("regard_lab.reproduce._dvc", lambda *_, **__: pytest.fail("DVC was asked"))
    assert reproduce_all(root) == 0
    assert reproduce_all(root) == 0
    told = capsys.readouterr().out
    assert asked == [["-m", "regard_lab.report"]] * 2
    assert "up to date (2 rows)" in told
    assert "The report: reports/quick/index.html" in told
    assert str(root) not in told
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert {"/results/quick", "/reports/quick", "/runs"} <= set(ignored)


@pytest.mark.parametrize(("source", "code"), [("folder", 0), ("package", 1)])
def test_data_of_a_folder_that_is_not_there_stop_no_other_table(root, monkeypatch, capsys, source, code):
    """Nobody has them in a fresh clone, so that they are no failure there, other than a package that cannot be reached."""
    project = root / "projects/toy"
    points, lines = (project / name for name in ("experiments/points.yaml", "tables/lines.yaml"))
    away = (
        points.read_text()
        .replace("data_sets: {}", "data_sets: {etth1: null}")
        .replace("source: package", "source: folder")
    )
    (project / "experiments/away.yaml").write_text(away)
    (project / "tables/away.yaml").write_text(lines.read_text().replace("experiment: points", "experiment: away"))
    change(project / "paper.yaml", "[lines]", "[away, lines]")
    if source == "package":
        change(project / "experiments/away.yaml", "source: folder", "source: package")
        monkeypatch.setattr(reproduce.data, "ensure", _unreachable)
        monkeypatch.setattr("regard_lab.experiment.tables.checksums", lambda *_: {})
    inline(monkeypatch)
    assert reproduce_all(root) == code
    assert read_result(result_path(root, "toy", "lines", "quick")).rows[0].status == "ok"
    assert {row.status for row in read_result(result_path(root, "toy", "away", "quick")).rows} == {"not run"}
    if source == "folder":
        assert "fetch etth1 --source folder --folder FOLDER, with ETTh1.csv" in capsys.readouterr().out


def _unreachable(name, *_):
    raise DataMissing(f"{name} cannot be reached")


def test_an_archive_is_no_repository_and_dvc_is_told(root, monkeypatch):
    (root / ".dvc").mkdir()
    monkeypatch.setattr("regard_lab.reproduce.subprocess.run", lambda *_, **__: None)
    reproduce._dvc(root, "status")
    assert "no_scm = true" in (root / ".dvc/config.local").read_text()
    (root / ".dvc/config.local").unlink()
    (root / ".git").mkdir()
    reproduce._dvc(root, "status")
    assert not (root / ".dvc/config.local").exists()


def test_a_checkout_that_cannot_be_written_is_one_line(root, monkeypatch, capsys):
    def refused(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("sys.argv", ["reproduce", "toy/lines"])
    monkeypatch.setattr("pathlib.Path.mkdir", refused)
    assert main() == 2
    assert "Permission denied; results, runs" in capsys.readouterr().err
