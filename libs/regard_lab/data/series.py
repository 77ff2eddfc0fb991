"""Time series: their prepared form, hourly means, tables of dates and numbers, and splits consecutive in time."""

import csv
import datetime
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regard_lab.common.errors import UserError


@dataclass(frozen=True, eq=False)
class Series:
    """One split of a series: `values` (n, channels) float32 at `times` (n,) int64, and the channels' names.

    Times are seconds since 1970 in local time. Prepared as `<split>.npy`, `<split>-times.npy` and `<split>-columns.json`.
    """

    values: NDArray[np.float32]
    times: NDArray[np.int64]
    columns: list[str]

    def __len__(self) -> int:
        return len(self.values)

    def keys(self) -> Iterator[str]:
        """One key per row: its time. No time is in two splits."""
        return map(str, self.times.tolist())

    def files(self, split: str) -> Mapping[str, bytes]:
        """The prepared files of this split and their content."""
        return {
            f"{split}.npy": npy(self.values),
            f"{split}-times.npy": npy(self.times),
            f"{split}-columns.json": (json.dumps(self.columns, ensure_ascii=False) + "\n").encode(),
        }

    @classmethod
    def read(cls, folder: Path, split: str) -> "Series":
        """Read a prepared or a user's split; files that do not match raise a `UserError`."""
        paths = [folder / f"{split}{end}" for end in (".npy", "-times.npy", "-columns.json")]
        if missing := [path.name for path in paths if not path.exists()]:
            raise UserError(
                f"{folder} has no {', '.join(missing)}; a split is {', '.join(path.name for path in paths)}"
            )
        values, times = np.load(paths[0]), np.load(paths[1])
        columns = json.loads(paths[2].read_text(encoding="utf-8"))
        if values.shape != (len(times), len(columns)):
            raise UserError(
                f"{paths[0]} is {values.shape}, but there are {len(times)} times and {len(columns)} columns beside it"
            )
        return cls(values.astype(np.float32), times.astype(np.int64), list(columns))


def npy(array: NDArray[np.float32] | NDArray[np.int64]) -> bytes:
    """An array as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def in_time(series: Series, train: float, validation: float) -> dict[str, Series]:
    """The first part of a series for training, the next for validation, the rest for test; `train` and `validation` are shares of the whole."""
    first, second = round(train * len(series)), round((train + validation) * len(series))
    parts = {"train": slice(0, first), "validation": slice(first, second), "test": slice(second, None)}
    return {split: Series(series.values[part], series.times[part], series.columns) for split, part in parts.items()}


def means_of(times: NDArray[np.int64], values: NDArray[np.float64], step: int, columns: Sequence[str]) -> Series:
    """Means over steps of `step` seconds. NaN means missing; a step without any value repeats the step before it."""
    index = times // step - times[0] // step
    count = int(index.max()) + 1
    known = np.isfinite(values)
    means = np.empty((count, values.shape[1]))
    for channel in range(values.shape[1]):
        rows = known[:, channel]
        total = np.bincount(index[rows], values[rows, channel], minlength=count)
        counted = np.bincount(index[rows], minlength=count)
        means[:, channel] = filled(total / np.maximum(counted, 1), counted > 0)
    starts = (times[0] // step + np.arange(count)) * step
    return Series(means.astype(np.float32), starts.astype(np.int64), list(columns))


def filled(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Unknown values replaced by the last known one before them; the first must be known."""
    if not known[0]:
        raise UserError("a series must begin with a known value")
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), 0))
    return values[last]


def read_table(path: Path, columns: Sequence[str] | None = None) -> Series:
    """A table `date,…` like the files of ETT and of Informer: a header, then one line per step.

    Args:
        path: The csv file. Its dates are "2016-07-01 00:00:00" or "1/31/2010 0:00" (month first).
        columns: The channels that the header must name, in order; `None` takes those that it has.

    Returns:
        All steps, in the file's order.

    Raises:
        UserError: There is no such file, its header has other columns, or a line is not a date with as many numbers;
            the message gives the line's number.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist")
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        head = next(lines, [])
        if head[:1] != ["date"] or (columns is not None and head[1:] != list(columns)):
            raise UserError(
                f"{path} must begin with date,{','.join(columns or ['…'])}; it begins with {','.join(head)[:80]!r}"
            )
        times: list[int] = []
        rows: list[list[float]] = []
        for number, (date, *fields) in enumerate(lines, start=2):
            try:
                times.append(seconds_of(date))
                rows.append([float(field) for field in fields])
            except ValueError:
                rows.append([])
            if len(rows[-1]) != len(head) - 1:
                raise UserError(
                    f"line {number} of {path} is not a date and {len(head) - 1} numbers: {date}, {fields[:3]}"
                )
    values = np.array(rows, dtype=np.float32).reshape(len(rows), len(head) - 1)
    return Series(values, np.array(times, dtype=np.int64), head[1:])


def seconds_of(date: str) -> int:
    """Seconds since 1970 of a date and a clock, in either of the two ways of writing; ValueError for another."""
    american = "/" in date
    clock = datetime.datetime.strptime(date, "%m/%d/%Y %H:%M") if american else datetime.datetime.fromisoformat(date)
    return int(clock.replace(tzinfo=datetime.UTC).timestamp())


def cut_at(series: Series, name: str, steps_in_all: int, sizes: Mapping[str, int]) -> dict[str, Series]:
    """The splits of the given sizes, one after the other from the first step on; remaining steps at the end are left
    out.

    Args:
        series: The whole series.
        name: What to call it in a message.
        steps_in_all: How many steps the official file has.
        sizes: How many steps each split has.

    Raises:
        UserError: The series has the wrong number of steps, or unevenly spaced steps; the message has the numbers.
    """
    if len(series) != steps_in_all:
        raise UserError(f"{name} has {len(series):,} steps, the official file has {steps_in_all:,}")
    steps = np.diff(series.times)
    if len(steps) and (uneven := np.flatnonzero(steps != steps[0])).size:
        at = int(uneven[0])
        raise UserError(f"{name} steps by {int(steps[0])} s, but by {int(steps[at])} s after its step {at:,}")
    splits, start = {}, 0
    for split, size in sizes.items():
        part = slice(start, start + size)
        splits[split] = Series(series.values[part], series.times[part], series.columns)
        start += size
    return splits
