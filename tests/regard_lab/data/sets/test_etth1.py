"""ETTh1: the official file's head and length, and its borders of 12, 4 and 4 months."""

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import etth1
from tests.regard_lab.data.hours import write_hours


def test_borders_are_12_4_and_4_months() -> None:
    month = 1 * 30 * 24
    assert {"train": 12 * month, "validation": 4 * month, "test": 4 * month} == etth1.SIZES
    assert etth1.CARD.source("folder").sizes == etth1.SIZES


def test_the_official_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_hours(tmp_path / "ETTh1.csv", etth1.COLUMNS, 12)
    with pytest.raises(UserError, match=r"ETTh1 .* has 12 steps, the official file has 17,420"):
        etth1.from_folder(tmp_path)
    monkeypatch.setattr(etth1, "STEPS", 12)
    monkeypatch.setattr(etth1, "SIZES", {"train": 6, "validation": 2, "test": 2})
    splits = etth1.from_folder(tmp_path)
    assert {split: part.values[:, 0].tolist() for split, part in splits.items()} == {
        "train": [0, 1, 2, 3, 4, 5],
        "validation": [6, 7],
        "test": [8, 9],
    }
    assert splits["train"].times[0] == 1_467_331_200  # 2016-07-01 00:00
    assert splits["test"].columns == ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
