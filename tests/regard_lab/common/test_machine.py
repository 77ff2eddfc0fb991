"""What a record says of its machine, and the peak of memory of one cell among several in a process."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from regard_lab.common.machine import environment, peak_memory_mib, reset_peak_memory, revision, versions


def test_versions_and_environment_are_plain_values() -> None:
    assert {"python", "torch", "numpy"} <= set(versions())
    said = environment()
    assert set(said) == {"device", "accelerators", "cores", "threads", "system"}
    assert said["device"]
    assert said["cores"] >= 1
    assert json.loads(json.dumps(said)) == said


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of a process cannot be reset here")
def test_a_peak_is_that_since_the_last_reset() -> None:
    mebibytes = 200
    reset_peak_memory()
    before = peak_memory_mib()
    np.ones(mebibytes * 2**17)  # written, so that it is resident; let go of at once
    high = peak_memory_mib()
    assert high >= before + 0.9 * mebibytes
    reset_peak_memory()
    assert peak_memory_mib() < high - 0.5 * mebibytes


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_revision_says_whether_code_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert revision(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert revision(tmp_path) is None  # no commit yet
    for name in ("libs/code.py", "projects/code.py", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")[:12]
    assert revision(tmp_path) == commit
    (tmp_path / "notes.txt").write_text("2\n")
    (tmp_path / "libs" / "new.py").write_text("2\n")
    assert revision(tmp_path) == commit  # neither is code of the commit
    (tmp_path / "projects" / "code.py").write_text("2\n")
    assert revision(tmp_path) == commit + "+"


def test_an_archive_inside_another_repository_has_no_revision(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "theirs.txt").write_text("1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "theirs")
    assert revision(tmp_path) is not None
    (inside := tmp_path / "archive").mkdir()
    assert revision(inside) is None
