"""Training one model of a task once, for every table that needs it: `learnt` gives its metrics, out of `runs/artefacts` if they are there.

What is trained is a `Learning`: a task's settings, the mechanism, its pattern and the seed. The index, its constants and the tables are no
part of it, so that none of them trains anything anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from projects.cab.config import Attention, Config, Fitting, modules_of
from regard_lab.common.files import read_json, write_json
from regard_lab.experiment.artefacts import artefact
from regard_lab.training.trainer import Task, fit, load_weights, loader

METRICS = "metrics.json"
Score = Callable[[nn.Module, Any], dict[str, Tensor]]
Run = Callable[[Any, Path], None]


@dataclass(frozen=True)
class Learning:
    """Everything that decides what is learnt. `task` is the section of the config: `Lstf`, `Lm` or `Translation`."""

    task: Any
    attention: Attention
    pattern: str
    source: str
    seed: int


def learnt(
    config: Config, run: Run, task: Any, data_sets: Sequence[str], *, attention: str | None = None
) -> dict[str, float]:
    """The metrics of the model of `config`, trained by `run` if it was not before; with another attention's name if one is given."""
    named = config.attention if attention is None else Attention(attention, "", {})
    what = Learning(task, named, config.pattern, config.data.source, config.seed)
    folder = artefact(run, what, data_sets, source=what.source, root=Path.cwd(), modules=modules_of(named.name))
    metrics: dict[str, float] = read_json(folder / METRICS)
    return metrics


def leave(folder: Path, metrics: dict[str, float]) -> None:
    """What a training leaves for `learnt`."""
    write_json(folder / METRICS, metrics)


def trained(
    model: nn.Module, score: Score, parts: dict[str, tuple[Tensor, ...]], what: Fitting, seed: int, folder: Path
) -> tuple[Task, float]:
    """The model with the weights of its best epoch by validation loss, and the seconds that its training steps took."""
    task = Task(model, score, lambda module: optimiser(module, what))
    history = fit(
        task,
        loader(parts["train"], what.batch_size, seed=seed),
        held_out(parts["validation"], what),
        epochs=what.epochs,
        seed=seed,
        folder=folder,
        best="validation_loss",
        mode="min",
        trainer_options={
            "devices": what.devices,
            "strategy": what.strategy,
            "precision": what.precision,
        },
    )
    load_weights(task, folder, "best")
    return task, sum(epoch["train_time_s"] for epoch in history.epochs)


def optimiser(model: nn.Module, what: Fitting) -> torch.optim.Optimizer:
    """AdamW; without weight decay it is Adam."""
    return torch.optim.AdamW(model.parameters(), lr=what.learning_rate, weight_decay=what.weight_decay)


def held_out(tensors: tuple[Tensor, ...], what: Fitting) -> DataLoader[tuple[Tensor, ...]]:
    """Batches in order, for validation and test."""
    return loader(tensors, 2 * what.batch_size)
