"""A table of dates and numbers, one line per hour from July 2016 on."""

import datetime
from collections.abc import Sequence
from pathlib import Path


def write_hours(path: Path, columns: Sequence[str], steps: int) -> None:
    """The first column counts the steps, the others are 1."""
    start = datetime.datetime(2016, 7, 1)
    lines = [",".join(["date", *columns])]
    for step in range(steps):
        lines.append(",".join([str(start + datetime.timedelta(hours=step)), str(step), *["1"] * (len(columns) - 1)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
