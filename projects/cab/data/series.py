"""Series as windows for forecasts, with a clock."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from projects.cab.config import Lstf
from regard_lab import data
from regard_lab.data.series import Series
from regard_lab.data.subsets import drawn

Splits = dict[str, tuple[Tensor, ...]]
CLOCK = 4  # sine and cosine of the hour of the day and of the day of the week


def series_windows(name: str, source: str, task: Lstf) -> Splits:
    """The windows of each split, scaled by the training split, as in Informer.

    Args:
        name: A data set of series.
        source: The kind of source that it comes from.
        task: Lengths of the windows, and how many of them.

    Returns:
        By split: known values `(n, length, c)`, their clock `(n, length, 4)`, the horizon's clock `(n, horizon, 4)` and values `(n, horizon, c)`.

    Raises:
        ValueError: A split is shorter than one window, or the set has no such target.
    """
    splits = load_series(name, source)
    if task.target is not None:
        splits = {split: one_channel(series, task.target, name) for split, series in splits.items()}
    values = splits["train"].values
    mean, sd = values.mean(0), values.std(0)
    sd = np.where(sd > 0, sd, 1)
    sizes = {"train": task.train_examples}
    return {
        split: cut_series(
            (series.values - mean) / sd, clock_of(series.times), task, sizes.get(split, task.held_out_examples)
        )
        for split, series in splits.items()
    }


def cut_series(values: NDArray[Any], clock: NDArray[Any], task: Lstf, size: int | None) -> tuple[Tensor, ...]:
    """`size` of the windows that begin at every step, drawn, or all: what `series_windows` returns of a split."""
    whole = task.length + task.horizon
    count = len(values) - whole + 1
    if count < 1:
        raise ValueError(f"a split of {len(values)} steps has no window of {task.length} + {task.horizon}")
    starts = np.array(sorted(drawn(range(count), size)))
    steps = torch.from_numpy(starts[:, None] + np.arange(whole))
    numbers, clocks = (torch.from_numpy(part.astype(np.float32))[steps] for part in (values, clock))
    return numbers[:, : task.length], clocks[:, : task.length], clocks[:, task.length :], numbers[:, task.length :]


def one_channel(series: Series, column: str, name: str) -> Series:
    """One series of a set, by its name."""
    if column not in series.columns:
        raise ValueError(f"{name} has no series {column!r}; it has {', '.join(series.columns)}")
    place = series.columns.index(column)
    return Series(series.values[:, place : place + 1], series.times, [column])


def clock_of(times: NDArray[np.int64]) -> NDArray[np.float64]:
    """Where in the day and in the week each time is, `(n, 4)`. Times are seconds `(n,)`."""
    turns = 2 * np.pi * times[:, None] / np.array([86_400, 7 * 86_400])
    return np.concatenate([np.sin(turns), np.cos(turns)], axis=1)


@functools.cache
def load_series(name: str, source: str) -> dict[str, Series]:
    """A data set's splits, read once per process."""
    splits: dict[str, Series] = data.load(name, Path.cwd(), source)
    return splits
