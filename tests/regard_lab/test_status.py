"""How results stand: current, stale and why, or not run."""

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from regard_lab import gate, restamp, status
from regard_lab.common.errors import UserError
from regard_lab.common.files import read_json, write_json
from regard_lab.data import NOT_PREPARED
from regard_lab.experiment.results import read_result, result_path
from regard_lab.experiment.tables import load_table
from regard_lab.status import standing, tables_of
from tests.editing import change as edit
from tests.regard_lab import toy

NAMED = ("toy", "lines", "laptop")


@pytest.fixture
def root(root: Path) -> Path:
    """The toy project with its result at laptop."""
    toy.reproduce(root, "laptop")
    return root


def test_which_tables_a_status_is_of(root):
    assert tables_of([], None, root) == [NAMED]
    assert tables_of([], "quick", root) == [("toy", "lines", "quick")]
    assert standing("toy", "lines", "quick", root).state == "not run"
    with pytest.raises(
        UserError, match="there is no table 'toy/line'; a table is named PAPER/TABLE, such as toy/lines"
    ):
        tables_of(["toy/line"], None, root)


@pytest.mark.parametrize(
    ("file", "old", "new", "why"),
    [
        ("run.py", "config.slope * (1", "config.slope / 1 * (1", "code: projects.toy.run (run)"),
        ("experiments/points.yaml", "laptop: {epochs: 3}", "laptop: {epochs: 4}", "config: epochs 3 → 4"),
        ("tables/lines.yaml", "slope: [1.0, 3.0]", "slope: [1.0, 2.0, 3.0]", "new rows: slope 2"),
        ("tables/lines.yaml", "slope: [1.0, 3.0]", "slope: [3.0]", "rows gone: slope 1"),
        ("tables/lines.yaml", "laptop: 4", "laptop: 5", "cells without a record: 1.0-seed4, 3.0-seed4"),
    ],
)
def test_what_made_a_result_stale(root, file, old, new, why):
    assert standing(*NAMED, root).state == "current"
    edit(root / "projects/toy" / file, old, new)
    toy.forget()
    now = standing(*NAMED, root)
    assert now.state == "stale"
    assert now.why == (why,)
    assert why in now.line()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"no height"', '"there is no height"'),
        ("# A comment.", "# Another."),
        ('"""Docstring."""', '"""Other words."""'),
    ],
)
def test_words_make_nothing_stale(root, old, new):
    edit(root / "projects/toy/run.py", old, new)
    toy.forget()
    assert standing(*NAMED, root).state == "current"


class InThisProcess(contextlib.nullcontext):
    """In place of a pool: the toy project is known here alone."""

    def __init__(self, **options):
        super().__init__(self)

    map = staticmethod(map)


def test_the_command_counts_and_checks(root, monkeypatch, capsys):
    monkeypatch.setattr(status.concurrent.futures, "ProcessPoolExecutor", InThisProcess)
    path = result_path(root, *NAMED)
    values = read_json(path)
    for record in values["records"].values():
        record["wall_time_s"] = 900.0
    write_json(path, values)
    monkeypatch.chdir(root)
    monkeypatch.setattr("sys.argv", ["status", "toy/lines", "--scale", "laptop", "--check"])
    assert status.main() == 0
    line, total = capsys.readouterr().out.strip().splitlines()
    assert line.split() == ["toy/lines", "laptop", "current", "2.00", "h"]
    assert total == "1 result, 0 stale"
    edit(root / "projects/toy/run.py", "config.slope * (1", "config.slope / 1 * (1")
    toy.forget()
    assert status.main() == 1
    assert capsys.readouterr().out.strip().splitlines()[-1] == "1 result, 1 stale"


def test_other_data_make_a_result_stale(root):
    path = result_path(root, *NAMED)
    table = load_table(*NAMED, root)
    cells = [replace(cell, data={"points": "of today"}) for row in table.rows for cell in row]
    table = replace(table, rows=[cells])
    values = read_json(path) | {"data": [{"name": "points", "stands_in_for": None, "sha256": "of then"}]}
    write_json(path, values)
    assert status.changed_data(read_result(path), table) == ["points"]
    unknown = replace(table, rows=[[replace(cell, data={"points": NOT_PREPARED}) for cell in cells]])
    assert status.changed_data(read_result(path), unknown) == []


@pytest.mark.parametrize("command", [status, gate])
def test_outside_the_repository(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["command"])
    assert command.main() == 2
    assert "there are no projects in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "said"), [("toi/lines", "there is no project 'toi'"), ("toy/line", "no table 'line'")]
)
@pytest.mark.parametrize("command", [gate, restamp])
def test_what_does_not_exist_is_not_said_to_wait_for_a_run(root, command, name, said, monkeypatch, capsys):
    monkeypatch.chdir(root)
    monkeypatch.setattr("sys.argv", ["command", name])
    assert command.main() != 0
    printed = capsys.readouterr()
    assert said in printed.out + printed.err
