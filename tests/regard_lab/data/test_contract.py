"""Every module of `regard_lab.data.sets` keeps to `DataSet`, as mypy sees it, and has a function for each source on its card."""

import subprocess
import sys
from pathlib import Path

import pytest

from regard_lab import data

ROOT = Path(__file__).resolve().parents[3]
PROTOCOLS = {"package": "FromPackage", "hub": "FromHub", "folder": "FromFolder"}


@pytest.mark.slow
def test_mypy_holds_every_set_to_the_protocols(tmp_path: Path) -> None:
    lines = ["from regard_lab.data.data_set import DataSet, FromFolder, FromHub, FromPackage"]
    for name in data.names():
        lines += [f"import {data.module_name(name)} as {name}", f"{name}_set: DataSet = {name}"]
        lines += [f"{name}_{s.name}: {PROTOCOLS[s.name]} = {name}" for s in data.card(name).sources]
    wrong = len(lines) + 1
    lines.append("wrong: DataSet = data_set")
    lines.insert(1, "from regard_lab.data import data_set")
    file = tmp_path / "contract.py"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", str(file)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    complaints = [line for line in done.stdout.splitlines() if "error:" in line]
    assert complaints, done.stdout + done.stderr
    assert all(f"contract.py:{wrong + 1}:" in line for line in complaints), done.stdout
