"""Every module of the library and of the lab has a test file where one looks for it.

`tests/` mirrors `libs/`: the tests of `libs/regard_lab/data/images.py` are `tests/regard_lab/data/test_images.py`. A module's tests may fill several
files (`test_huggingface_masks.py`, `test_huggingface_models.py`); those of a package that is one mechanism, such as `mechanisms/smyrf/`, stand in
`mechanisms/test_smyrf.py` and its like. Files on a topic of their own, such as `test_fuzz.py`, are welcome beside them.
"""

from pathlib import Path

import pytest

from tests.paths import ROOT

NO_TEST_FILE = {
    "regard/signatures": "types alone: test_types.py holds it to the constructors",
}


def modules() -> list[str]:
    """Every module that holds code, by its path below `libs` without the ending; a package by its folder."""
    found = []
    for path in sorted((ROOT / "libs").rglob("*.py*")):
        if path.suffix in (".py", ".pyi") and (path.name != "__init__.py" or "def " in path.read_text()):
            whole = path.parent if path.name == "__init__.py" else path.with_suffix("")
            found.append(str(whole.relative_to(ROOT / "libs")))
    return found


def test_files(module: str) -> list[Path]:
    """The files that test a module."""
    place = Path(module)
    if place.parent.parent.name == "mechanisms":  # a part of one mechanism
        place = place.parent
    folder = ROOT / "tests" / place.parent
    if (ROOT / "libs" / place / "__init__.py").exists() and place.parent.name != "mechanisms":
        folder /= place.name
    name = place.name.strip("_")
    return [
        path
        for path in folder.glob(f"test_{name}*.py")
        if path.stem == f"test_{name}" or path.stem.startswith(f"test_{name}_")
    ]


test_files.__test__ = False


@pytest.mark.parametrize("module", modules())
def test_a_module_has_its_test_file(module: str) -> None:
    assert bool(test_files(module)) != (module in NO_TEST_FILE), module


def test_the_exceptions_are_modules() -> None:
    assert set(NO_TEST_FILE) <= set(modules())


def test_no_test_file_outlives_its_folder() -> None:
    """A folder of tests has a room of the same name in `libs`."""
    for library in ("regard", "regard_lab"):
        for path in (ROOT / "tests" / library).rglob("test_*.py"):
            assert (ROOT / "libs" / path.parent.relative_to(ROOT / "tests")).is_dir(), path
