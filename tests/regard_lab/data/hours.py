"""A table of dates and numbers, one line per hour from July 2016 on, and what the three sets of ETT must make of one."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.ett import COLUMNS


def write_hours(path: Path, columns: Sequence[str], steps: int) -> None:
    """The first column counts the steps, the others are 1."""
    start = datetime.datetime(2016, 7, 1)
    lines = [",".join(["date", *columns])]
    for step in range(steps):
        lines.append(",".join([str(start + datetime.timedelta(hours=step)), str(step), *["1"] * (len(columns) - 1)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def check_transformer(
    module: Any, title: str, *, steps: str, per_hour: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module of a set of ETT has Informer's borders, refuses a file of another length, and cuts one of the right length in order."""
    month = per_hour * 30 * 24
    assert {"train": 12 * month, "validation": 4 * month, "test": 4 * month} == module.SIZES
    assert module.CARD.source("folder").sizes == module.SIZES
    write_hours(folder / f"{title}.csv", COLUMNS, 12)
    with pytest.raises(UserError, match=rf"{title} .* has 12 steps, the official file has {steps}"):
        module.from_folder(folder)
    monkeypatch.setattr(module, "STEPS", 12)
    monkeypatch.setattr(module, "SIZES", {"train": 6, "validation": 2, "test": 2})
    splits = module.from_folder(folder)
    assert {split: part.values[:, 0].tolist() for split, part in splits.items()} == {
        "train": [0, 1, 2, 3, 4, 5],
        "validation": [6, 7],
        "test": [8, 9],
    }
    assert splits["train"].times[0] == 1_467_331_200  # 2016-07-01 00:00
    assert splits["test"].columns == ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
