"""Cells and tables: what is run, what is reused, what a failure leaves, and what a user is told."""

import json
import subprocess
import sys

import pytest
import toy

from regard_lab.common import files
from regard_lab.common.errors import UserError
from regard_lab.experiment.cells import finished_record, run_cell
from regard_lab.experiment.executors import ProcessEnded, executor
from regard_lab.experiment.results import read_result, result_path
from regard_lab.experiment.tables import current_fingerprint, load_table
from regard_lab.reproduce import line, main, read_scales, reproduce_all, reproduce_table, reproduce_tables, summary_path
from regard_lab.write_fingerprints import keep_up, known_fingerprint, write_fingerprints


@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text("scales: [quick]\n")
    return toy.write_toy(tmp_path, monkeypatch)


def reproduce(root, scale="quick"):
    return reproduce_table("toy", "lines", scale, root, where="inline")


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_table_is_read_out_of_its_cells(root):
    summary = reproduce(root, "laptop")
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


def test_what_has_run_is_not_run_again(root):
    reproduce(root)
    before = files.read_json(summary_path(root, "toy", "lines", "quick"))
    assert before["cells"]["run"] == 4
    assert 0 <= before["seconds"] < 60
    assert reproduce(root)["cells"] == {"run": 0, "reused": 4, "failed": 0, "not run": 0}
    assert toy.calls(root) == 4
    assert files.read_json(summary_path(root, "toy", "lines", "quick")) == before  # of the run that made the result


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
        ("project.py", "must not be 0", "cannot be 0", 0),
    ],
)
def test_exactly_what_changed_is_run_again(root, file, old, new, runs):
    reproduce(root)
    change(root / "projects" / "toy" / file, old, new)
    assert reproduce(root)["cells"]["run"] == runs


def test_a_removed_row_is_gone_from_the_result(root):
    reproduce(root)
    change(root / "projects/toy/tables/lines.yaml", "[1.0, 3.0]", "3.0")
    reproduce(root)
    assert [row.key for row in read_result(result_path(root, "toy", "lines", "quick")).rows] == [{"slope": 3.0}]


def test_a_cell_that_fails_says_why_and_the_others_go_on(root):
    change(root / "projects/toy/run.py", "if config.fail:", "if config.slope == 3.0 and config.seed == 1:")
    summary = reproduce(root)
    assert summary["cells"] == {"run": 3, "reused": 0, "failed": 1, "not run": 0}
    row = read_result(result_path(root, "toy", "lines", "quick")).row(slope=3.0)
    assert (row.status, row.seeds, row.metrics["height"].values) == ("failed", [0], [3.0])
    assert row.reason == "seed 1: ArithmeticError: no height"
    assert "no height" in (root / "runs/quick/toy/lines/3.0-seed1/error.txt").read_text()
    assert "no height" in line(summary)
    change(root / "projects/toy/run.py", "if config.slope == 3.0 and config.seed == 1:", "if False:")
    toy.forget()
    assert reproduce(root)["rows"] == {"ok": 2, "failed": 0, "not run": 0}


def test_a_process_that_dies_is_one_failed_cell(root, monkeypatch):
    def dies(cell, root):
        if cell.id == "3.0-seed1":
            raise ProcessEnded("killed")
        return run_cell(cell, root)

    monkeypatch.setattr("regard_lab.reproduce.run_cell", dies)
    summary = reproduce(root)
    assert summary["cells"] == {"run": 3, "reused": 0, "failed": 1, "not run": 0}
    assert summary["reasons"] == ["seed 1: killed"]


def test_a_number_that_is_not_finite_is_a_failure(root):
    change(root / "projects/toy/run.py", "height = config.slope", "height = float('nan') * config.slope")
    assert reproduce(root)["reasons"] == [
        "seed 0: ArithmeticError: not a finite number: height = nan; seed 1: ArithmeticError: not a finite number: height = nan"
    ]


def test_a_record_cut_in_half_is_run_again(root):
    reproduce(root)
    cell = load_table("toy", "lines", "quick", root).cells[0]
    path = cell.record_path(root)
    path.write_text(path.read_text()[:100])
    assert finished_record(cell, root) is None
    assert reproduce(root)["cells"]["run"] == 1


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


def test_a_wrong_row_is_named_before_any_work(root):
    change(root / "projects/toy/tables/lines.yaml", "[1.0, 3.0]", "[1.0, 0.0]")
    with pytest.raises(UserError, match=r"toy/lines, row \{'slope': 0.0\}: slope must not be 0, got 0.0"):
        reproduce(root)
    assert toy.calls(root) == 0


def test_a_full_disk_leaves_the_old_result(root, monkeypatch):
    reproduce(root)
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
        reproduce(root)
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
            reproduce(root)
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


@pytest.mark.parametrize(("limit", "workers"), [("", [None]), ("workers: 1", [None, 1])])
def test_tables_share_an_executor_unless_one_says_how_many_cells_may_run(root, monkeypatch, limit, workers):
    """Started when a cell needs it, and not for what has run."""
    started = []

    def counted(where, workers, **options):
        started.append(workers)
        return executor("inline")

    tables = root / "projects/toy/tables"
    (tables / "others.yaml").write_text((tables / "lines.yaml").read_text() + limit)
    change(root / "projects/toy/paper.yaml", "[lines]", "[lines, others]")
    monkeypatch.setattr("regard_lab.reproduce.executor", counted)
    monkeypatch.setattr("regard_lab.reproduce.import_early", lambda modules: None)
    for new in (workers, []):
        summaries = list(reproduce_tables([("toy", "lines"), ("toy", "others")], "quick", root))
        assert [summary["table"] for summary in summaries] == ["toy/lines", "toy/others"]
        assert started == new
        started.clear()


def test_everything_runs_what_dvc_would_run_and_then_dvc(root, monkeypatch, capsys):
    """A table whose stage is up to date is not even composed; the stages come last and find their cells."""
    tables = root / "projects/toy/tables"
    (tables / "others.yaml").write_text((tables / "lines.yaml").read_text())
    change(root / "projects/toy/paper.yaml", "[lines]", "[lines, others]")
    asked = []

    def dvc(root, *words, **options):
        asked.append((words, toy.calls(root)))
        changed = {"pipelines/toy/dvc.yaml:table@others-quick": ["changed"], "fingerprints": ["always changed"]}
        return subprocess.CompletedProcess(words, 0, json.dumps(changed) if "status" in words else "")

    monkeypatch.setattr("regard_lab.reproduce._dvc", dvc)
    monkeypatch.setattr("regard_lab.reproduce.executor", lambda *_, **__: executor("inline"))
    monkeypatch.setattr("regard_lab.reproduce.import_early", lambda modules: None)
    assert reproduce_all(root) == 0
    assert asked == [
        (("repro", "fingerprints"), 0),
        (("status", "--json"), 0),
        (("repro", "--keep-going"), 4),
    ]
    told = capsys.readouterr().out
    assert "toy/others                       quick   rows: 2 ok; cells: 4 run" in told
    assert "toy/lines                        quick   not run" in told


def test_a_table_that_is_wrong_leaves_the_others_to_their_stages(root, monkeypatch, capsys):
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


@pytest.mark.parametrize(
    ("content", "message"), [("scales: []", "must be a list"), ("x: 1", "KeyError"), ("scales: [big]", "'big'")]
)
def test_params_are_checked(root, content, message):
    (root / "params.yaml").write_text(content)
    with pytest.raises(UserError, match=message):
        read_scales(root)


def test_fingerprints_change_only_with_their_table(root, monkeypatch):
    monkeypatch.setattr("regard_lab.write_fingerprints.report_fingerprint", lambda root: "report")
    paths = write_fingerprints(root)
    mine = next(path for path in paths if path.name == "lines-quick.json")
    before, touched = mine.read_text(), mine.stat().st_mtime_ns
    change(root / "projects/toy/run.py", "# A comment.", "")
    (root / "runs/fingerprints/toy/gone-quick.json").write_text("{}")
    assert write_fingerprints(root) == paths
    assert (mine.read_text(), mine.stat().st_mtime_ns) == (before, touched)
    assert not (root / "runs/fingerprints/toy/gone-quick.json").exists()
    change(root / "projects/toy/run.py", "1 + config.seed", "3 + config.seed")
    write_fingerprints(root)
    assert json.loads(mine.read_text())["table"] != json.loads(before)["table"]


def test_nothing_is_composed_while_no_source_has_changed(root, monkeypatch):
    monkeypatch.setattr("regard_lab.write_fingerprints.report_fingerprint", lambda root: "report")
    assert keep_up(root) == "2 written"
    assert keep_up(root) == "no source has changed"
    change(root / "projects/toy/run.py", "# A comment.", "")
    assert keep_up(root) == "2 written"
    reproduce(root, "laptop")
    assert keep_up(root) == "2 written"  # a result more is one more that may be stale
    for scale in ("quick", "laptop", "paper"):
        known = [known_fingerprint("toy", "lines", scale, root, written=written) for written in (True, False)]
        assert known == [current_fingerprint("toy", "lines", scale, root)] * 2
    assert known_fingerprint("toy", "gone", "quick", root, written=True) is None
    (root / "runs/fingerprints/toy/lines-quick.json").unlink()
    assert keep_up(root) == "2 written"
    assert keep_up(root) == "no source has changed"


def test_a_result_of_old_code_is_seen_to_be_stale(root, monkeypatch):
    monkeypatch.setattr("regard_lab.write_fingerprints.report_fingerprint", lambda root: "report")
    reproduce(root)
    reproduce(root, "laptop")
    report = root / "runs/fingerprints/report.json"
    write_fingerprints(root)
    made = read_result(result_path(root, "toy", "lines", "laptop")).fingerprint
    # quick is kept up by its own stage: the report must not run once more because a stage before it has made a first result
    assert json.loads(report.read_text())["results"] == {"results/laptop/toy/lines.json": made}
    change(root / "projects/toy/run.py", "1 + config.seed", "3 + config.seed")
    write_fingerprints(root)
    assert json.loads(report.read_text())["results"] != {"results/laptop/toy/lines.json": made}
