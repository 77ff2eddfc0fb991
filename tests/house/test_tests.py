"""Every module of the library and of the lab has a test file where one looks for it.

`tests/` mirrors `libs/`: the tests of `libs/regard_lab/data/images.py` are `tests/regard_lab/data/test_images.py`. A
module's tests may fill several files (`test_huggingface_masks.py`, `test_huggingface_models.py`); those of a mechanism
that is a folder, such as `mechanisms/smyrf/`, stand in `mechanisms/test_smyrf.py` and its like. Files on a topic of
their own, such as `test_fuzz.py`, are welcome beside them.
"""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.paths import ROOT

LIBS, TESTS = ROOT / "libs", ROOT / "tests"

# Modules whose tests have another name, or stand elsewhere.
ELSEWHERE = {
    "regard": "regard/test_public_names.py",
    "regard/adapters": "regard/test_public_names.py",
    # Parts of `regard.swap` and of the Hugging Face adapter, tested through them.
    **{
        f"regard/adapters/{part}": "regard/adapters/test_swapping.py"
        for part in (
            "examples",
            "first_call",
            "implementations",
            "interception",
            "proof",
            "recording",
            "survey",
            "swap_state",
        )
    },
    "regard/adapters/dispatch": "regard/adapters/test_huggingface_models.py",
    "regard/adapters/masks": "regard/adapters/test_huggingface_masks.py",
    "regard/common/drawing": "regard/test_autocast_and_draws.py",
    "regard/mechanisms/efficient": "regard/mechanisms/test_optimised_efficient_super.py",  # the three are compared
    "regard/mechanisms/super": "regard/mechanisms/test_optimised_efficient_super.py",
    "regard/signatures": "regard/test_types.py",
    "regard_lab": "regard_lab/experiment/test_kept_runs.py",
    "regard_lab/gate": "regard_lab/evidence/test_gate.py",  # the command and the rule in one
    "regard_lab/data/data_set": "regard_lab/data/test_data.py",  # protocols, which mypy checks
    "regard_lab/experiment/run_result": "regard_lab/experiment/test_cells.py",  # a dataclass without a method
    "regard_lab/models/minilm": "regard/adapters/test_huggingface_models.py",  # needs the model itself
    "regard_lab/models/smollm2": "regard/adapters/test_huggingface_models.py",
}


def modules() -> list[str]:
    """Every module that has code, by its path below `libs` without the ending; a package with functions of its own by its folder."""
    found = []
    for path in sorted([*LIBS.rglob("*.py"), *LIBS.rglob("*.pyi")]):
        if path.name != "__init__.py":
            found.append(path.with_suffix(""))
        elif "def " in path.read_text(encoding="utf-8"):
            found.append(path.parent)
    return [path.relative_to(LIBS).as_posix() for path in found]


def files_for(module: str) -> list[Path]:
    """The test files that a module has by its name."""
    path = Path(module)
    if path.parent.parent.name == "mechanisms":  # part of a mechanism
        path = path.parent
    is_room = (LIBS / path).is_dir() and path.parent.name != "mechanisms"
    folder, name = TESTS / (path if is_room else path.parent), path.name.strip("_")
    return sorted(file for file in folder.glob("test_*.py") if f"{file.stem}_".startswith(f"test_{name}_"))


@pytest.mark.parametrize("module", modules())
def test_a_module_has_its_test_file(module: str) -> None:
    if module in ELSEWHERE:
        assert (TESTS / ELSEWHERE[module]).is_file()
        assert not files_for(module), "it has a file of its own now: take it off the list"
    else:
        place = TESTS / Path(module).parent / f"test_{Path(module).name.strip('_')}.py"
        assert files_for(module), f"libs/{module} has no test file: write {place.relative_to(ROOT)}"


def test_the_exceptions_are_modules() -> None:
    assert set(ELSEWHERE) <= set(modules())


@pytest.mark.parametrize("library", ["regard", "regard_lab"])
def test_tests_stand_in_rooms_that_there_are(library: str) -> None:
    rooms = {file.parent.relative_to(TESTS) for file in (TESTS / library).rglob("test_*.py")}
    assert {room for room in rooms if not (LIBS / room).is_dir()} == set()


@pytest.mark.parametrize("time", ["once", "and again"])
def test_draws_are_the_same_in_every_test(time: str) -> None:
    assert random.random() == random.Random(0).random()
    assert np.random.rand() == np.random.RandomState(0).rand()
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(0)))
