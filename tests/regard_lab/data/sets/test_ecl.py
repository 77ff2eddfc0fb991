"""ECL: the official file's head and length, and the borders of Informer's code."""

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import ecl
from tests.regard_lab.data.hours import write_hours


def test_borders_are_those_of_informers_code() -> None:
    """Seven tenths, rounded down, for training, two tenths, rounded down, for test."""
    train, test = int(ecl.STEPS * 0.7), int(ecl.STEPS * 0.2)
    assert {"train": train, "validation": ecl.STEPS - train - test, "test": test} == ecl.SIZES
    assert ecl.CARD.source("folder").sizes == ecl.SIZES


def test_the_official_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_hours(tmp_path / "ECL.csv", ecl.COLUMNS, 10)
    with pytest.raises(UserError, match="has 10 steps, the official file has 26,304"):
        ecl.from_folder(tmp_path)
    monkeypatch.setattr(ecl, "STEPS", 10)
    monkeypatch.setattr(ecl, "SIZES", {"train": 7, "validation": 1, "test": 2})
    splits = ecl.from_folder(tmp_path)
    assert {split: part.values[:, 0].tolist() for split, part in splits.items()} == {
        "train": [0, 1, 2, 3, 4, 5, 6],
        "validation": [7],
        "test": [8, 9],
    }
    assert splits["test"].values.shape[1] == len(ecl.COLUMNS)
    write_hours(tmp_path / "ECL.csv", ["other", *ecl.COLUMNS[1:]], 10)
    with pytest.raises(UserError, match=r"must begin with date,MT_000.*it begins with 'date,other"):
        ecl.from_folder(tmp_path)
