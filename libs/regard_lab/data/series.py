"""Time series: their prepared form, whole hours out of minutes, and splits that follow each other in time."""

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
        """Read a prepared or a user's split; files that do not belong together are a `UserError`."""
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
    """Means over steps of `step` seconds. NaN is missing; a step without any value takes that of the step before it."""
    place = times // step - times[0] // step
    count = int(place.max()) + 1
    known = np.isfinite(values)
    means = np.empty((count, values.shape[1]))
    for channel in range(values.shape[1]):
        rows = known[:, channel]
        total = np.bincount(place[rows], values[rows, channel], minlength=count)
        number = np.bincount(place[rows], minlength=count)
        means[:, channel] = filled(total / np.maximum(number, 1), number > 0)
    starts = (times[0] // step + np.arange(count)) * step
    return Series(means.astype(np.float32), starts.astype(np.int64), list(columns))


def filled(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Unknown values replaced by the last known one before them; the first must be known."""
    if not known[0]:
        raise UserError("a series must begin with a known value")
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), 0))
    return values[last]
