"""The command that writes the report."""

import re
import runpy
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from regard_lab.experiment.results import result_path
from tests.regard_lab.report.sample_site import snapshot


def run(root: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["regard_lab.report", "--root", str(root)])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("regard_lab.report", run_name="__main__")
    assert isinstance(end.value.code, int)
    return end.value.code


def test_the_command(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, monkeypatch) == 0
    assert re.search(r"reports/index.html: 19 files, 0\.\d MB, 19 changed, 0 removed", capsys.readouterr().out)
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
