"""Forecasts of long sequences: an encoder–decoder like Informer (Zhou et al. 2021), for noncausal self and noncausal cross attention.

The encoder reads the last `length` steps; the decoder gets the last `label_length` of them and `horizon` empty ones with their clock, and gives all
of the forecast at once. Under test is the encoder's self attention or the decoder's cross attention; the decoder's own is causal softmax attention.
Losses are of series scaled by the training split, as in Informer.
"""

import functools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.cab.config import Attention, Config, Lstf
from projects.cab.learning import Learning, held_out, learnt, leave, trained
from projects.cab.slots import CrossBlock, SelfBlock, Slots, positions, softmax_layer
from regard_lab import data
from regard_lab.data.series import Series
from regard_lab.data.subsets import drawn
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.trainer import evaluate

INDEX_METRICS = ("household_power_mse", "household_power_mae", "appliances_mse", "appliances_mae")
CLOCK = 4  # sine and cosine of the hour of the day and of the day of the week


def measure(config: Config, folder: Path) -> RunResult:
    """MSE and MAE of the test windows of each series, the parameters of the layers under test, and the seconds of training."""
    assert config.lstf is not None
    return RunResult(learnt(config, train, config.lstf, config.lstf.sets))


def train(what: Learning, folder: Path) -> None:
    """Train a model a series and leave the metrics of all."""
    metrics: dict[str, float] = {"attention_parameters": 0.0, "train_time_s": 0.0}
    for name in what.task.sets:
        parts = windows(name, what.source, what.task)
        torch.manual_seed(what.seed)
        model = Forecaster(what.task, what.attention, what.pattern, parts["train"][0].shape[-1])
        task, seconds = trained(model, score, parts, what.task.fitting, what.seed, folder / name)
        found = evaluate(task, held_out(parts["test"], what.task.fitting))
        metrics |= {f"{name}_mse": found["loss"], f"{name}_mae": found["mae"]}
        metrics["attention_parameters"] += model.slots.parameters()
        metrics["train_time_s"] += seconds
    leave(folder, metrics)


class Forecaster(nn.Module):
    """Known values (b, length, c) and their clock, the horizon's clock -> forecast (b, horizon, c)."""

    def __init__(self, task: Lstf, attention: Attention, pattern: str, channels: int) -> None:
        super().__init__()
        self.label_length, self.horizon, width = task.label_length, task.horizon, task.width
        sizes = {"width": width, "hidden": task.feed_forward, "dropout": task.dropout}
        self.values = nn.ModuleList(nn.Conv1d(channels, width, 3, padding=1, padding_mode="circular") for _ in range(2))
        self.clocks = nn.ModuleList(nn.Linear(CLOCK, width) for _ in range(2))
        self.register_buffer("positions", positions(max(task.length, task.label_length + task.horizon), width), False)

        place = {"width": width, "heads": task.heads}
        self.slots = Slots(attention, pattern, **place, length=task.length)
        self.encoder = nn.ModuleList(
            SelfBlock(self.slots.layer("noncausal_self"), **sizes) for _ in range(task.encoder_layers)
        )
        self.distil = nn.ModuleList(Distil(width) for _ in range(task.encoder_layers - 1))
        self.decoder = nn.ModuleList(
            CrossBlock(softmax_layer("causal_self", **place), self.slots.layer("noncausal_cross"), **sizes)
            for _ in range(task.decoder_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.output = nn.Linear(width, channels)

    def forward(self, known: Tensor, clock: Tensor, coming: Tensor) -> Tensor:
        source = self.embed(0, known, clock)
        for number, block in enumerate(self.encoder):
            source = block(source)
            if number < len(self.distil):
                source = self.distil[number](source)
        source = self.norms[0](source)
        start, empty = (
            known[:, known.shape[1] - self.label_length :],
            known.new_zeros(len(known), self.horizon, known.shape[2]),
        )
        clocks = torch.cat([clock[:, clock.shape[1] - self.label_length :], coming], 1)
        x = self.embed(1, torch.cat([start, empty], 1), clocks)
        for block in self.decoder:
            x = block(x, source)
        return self.output(self.norms[1](x))[:, self.label_length :]

    def embed(self, side: int, values: Tensor, clock: Tensor) -> Tensor:
        return self.values[side](values.mT).mT + self.clocks[side](clock) + self.positions[: values.shape[1]]


class Distil(nn.Module):
    """Half the length between two blocks of the encoder: convolution, ELU, maximum over neighbours (Informer, equation 5)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, width, 3, padding=1, padding_mode="circular")

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool1d(F.elu(self.convolution(x.mT)), 3, stride=2, padding=1).mT


def score(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Mean squared and mean absolute error over a batch's windows."""
    known, clock, coming, target = batch
    error = model(known, clock, coming) - target
    return {"loss": error.square().mean(), "mae": error.abs().mean()}


def windows(name: str, source: str, task: Lstf) -> dict[str, tuple[Tensor, ...]]:
    """The windows of each split: known values, their clock, the horizon's clock, the horizon's values; scaled by the training split."""
    splits = loaded(name, source)
    values = splits["train"].values
    mean, sd = values.mean(0), values.std(0)
    sd = np.where(sd > 0, sd, 1)
    budget = {"train": task.fitting.train_examples}
    return {
        split: cut(
            (series.values - mean) / sd, clock_of(series.times), task, budget.get(split, task.fitting.held_out_examples)
        )
        for split, series in splits.items()
    }


def cut(values: np.ndarray, clock: np.ndarray, task: Lstf, wanted: int | None) -> tuple[Tensor, ...]:
    """`wanted` of the windows that begin at every step, drawn, or all."""
    whole = task.length + task.horizon
    count = len(values) - whole + 1
    if count < 1:
        raise ValueError(f"a split of {len(values)} steps has no window of {task.length} + {task.horizon}")
    starts = np.array(sorted(drawn(range(count), wanted)))
    places = torch.from_numpy(starts[:, None] + np.arange(whole))
    numbers, clocks = (torch.from_numpy(each.astype(np.float32))[places] for each in (values, clock))
    return numbers[:, : task.length], clocks[:, : task.length], clocks[:, task.length :], numbers[:, task.length :]


def clock_of(times: np.ndarray) -> np.ndarray:
    """(n, 4): where in the day and in the week each time is."""
    turns = 2 * np.pi * times[:, None] / np.array([86_400, 7 * 86_400])
    return np.concatenate([np.sin(turns), np.cos(turns)], axis=1)


@functools.cache
def loaded(name: str, source: str) -> dict[str, Series]:
    """A set's splits, read once a process."""
    splits: dict[str, Series] = data.load(name, Path.cwd(), source)
    return splits
