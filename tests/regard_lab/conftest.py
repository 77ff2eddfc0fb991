from pathlib import Path

import pytest

from tests.regard_lab import toy


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that holds the toy project and keeps it up at quick."""
    (tmp_path / "params.yaml").write_text("scales: [quick]\n")
    return toy.write_toy(tmp_path, monkeypatch)
