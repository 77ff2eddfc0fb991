"""An artefact is made once, by whoever needs it first, and resumed after a stop."""

import json
import multiprocessing
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest

from regard_lab.experiment import artefacts
from regard_lab.experiment.artefacts import artefact


@dataclass
class Recipe:
    size: int


def made(root: Path) -> list[str]:
    return (root / "made.txt").read_text().split() if (root / "made.txt").exists() else []


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> types.ModuleType:
    """A module whose `train` writes its size into the folder, and into a list of what was made; its fingerprint is what the test says."""
    module = types.ModuleType("a_cook")

    def train(recipe: Recipe, folder: Path) -> None:
        with open(tmp_path / "made.txt", "a", encoding="utf-8") as file:
            file.write(f"{recipe.size} ")
        if recipe.size < 0:
            (folder / "half.txt").write_text("half")
            raise RuntimeError("stopped")
        (folder / "size.txt").write_text(str(recipe.size))

    train.__module__, train.__qualname__ = "a_cook", "train"
    module.train = train  # type: ignore[attr-defined]
    module.code = "first"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_cook", module)
    monkeypatch.setattr(artefacts, "code_fingerprint", lambda modules, root: f"{modules} {module.code}")
    return module


def take(root: Path, size: int) -> Path:
    return artefact(sys.modules["a_cook"].train, Recipe(size), [], source="package", root=root)


def test_it_is_made_once_a_setting_and_code(make: types.ModuleType, tmp_path: Path) -> None:
    first = take(tmp_path, 3)
    assert (first / "size.txt").read_text() == "3"
    assert take(tmp_path, 3) == first
    other = take(tmp_path, 4)
    assert other != first
    assert made(tmp_path) == ["3", "4"]
    make.code = "second"  # type: ignore[attr-defined]
    assert take(tmp_path, 3) not in (first, other)
    assert made(tmp_path) == ["3", "4", "3"]


def test_it_says_what_it_was_made_of(make: types.ModuleType, tmp_path: Path) -> None:
    said = json.loads((take(tmp_path, 3) / "artefact.json").read_text())
    assert said["config"] == {"size": 3}
    assert said["run"] == "a_cook:train"


def test_an_unfinished_one_is_resumed(make: types.ModuleType, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stopped"):
        take(tmp_path, -1)
    (folder,) = (path for path in (tmp_path / artefacts.FOLDER).iterdir() if path.is_dir())
    assert (folder / "half.txt").read_text() == "half"

    def train(recipe: Recipe, folder: Path) -> None:
        (folder / "whole.txt").write_text((folder / "half.txt").read_text())

    train.__module__, train.__qualname__ = "a_cook", "train"
    make.train = train  # type: ignore[attr-defined]
    assert (take(tmp_path, -1) / "whole.txt").read_text() == "half"


def test_two_processes_make_it_once(make: types.ModuleType, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=take, args=(tmp_path, 7)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert made(tmp_path) == ["7"]


@pytest.mark.parametrize("harm", ["altered", "gone", "mark"])
def test_a_damaged_one_is_made_again(
    make: types.ModuleType, tmp_path: Path, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = take(tmp_path, 3)
    if harm == "altered":
        (folder / "size.txt").write_text("4")
    elif harm == "gone":
        (folder / "size.txt").unlink()
    else:
        (folder / "artefact.json").write_text("{")
    assert (take(tmp_path, 3) / "size.txt").read_text() == "3"
    assert made(tmp_path) == ["3", "3"]
    assert "is damaged" in capsys.readouterr().err
    take(tmp_path, 3)
    assert made(tmp_path) == ["3", "3"]
