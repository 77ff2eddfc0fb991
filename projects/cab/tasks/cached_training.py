"""One model of a task, trained once for every table that needs it.

`cached_result` gives what it measured, out of `runs/artefacts` if that is there. What decides a trained model is a
`TrainingRun`; the index, its constants and the tables are no part of it, so that none of them trains anything again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from projects.cab.config import Attention, Config, Lm, Lstf, Mlm, Pcc, Sr, Summary, Translation, modules_of
from regard.common.patterns import Pattern
from regard_lab.common.files import read_json, write_json
from regard_lab.experiment.artefacts import artefact
from regard_lab.experiment.items import ItemisedResult
from regard_lab.training.device import best_device
from regard_lab.training.recipe import Training
from regard_lab.training.trainer import History, Task, fit, load_weights, loader

MEASURED = "measured.json"
Score = Callable[[nn.Module, Any], dict[str, Tensor]]
Section = TypeVar("Section", Lstf, Lm, Mlm, Pcc, Sr, Summary, Translation)


@dataclass(frozen=True)
class TrainingRun(Generic[Section]):
    """Everything that decides a trained model. `task` is the section of the config."""

    task: Section
    attention: Attention
    pattern: Pattern
    source: str
    seed: int


@dataclass(frozen=True)
class Measured:
    """What a trained model's task leaves.

    Attributes:
        metrics: One value per metric.
        curves: One value per epoch.
        items: One value per item of the test split (a window, a picture), for each metric that is a mean over them.
        exhibits: What a page shows besides.
    """

    metrics: dict[str, float]
    curves: dict[str, list[float]] = field(default_factory=dict)
    items: dict[str, list[float]] = field(default_factory=dict)
    exhibits: dict[str, Any] = field(default_factory=dict)


def cached_result(
    config: Config,
    make: Callable[[TrainingRun[Section], Path], None],
    task: Section,
    data_sets: Sequence[str],
    *,
    attention: str | None = None,
) -> Measured:
    """What a task's model measured, trained now if it has not been.

    Args:
        config: Says which mechanism, pattern, source and seed.
        make: Trains the model of a `TrainingRun`, and leaves what it measured in a folder by `save`.
        task: The section of the config.
        data_sets: The data sets that `make` reads.
        attention: A mechanism's name in place of the configured mechanism, with its default options.

    Returns:
        Metrics, curves and items.
    """
    mechanism = config.attention if attention is None else Attention(attention, "", {})
    run = TrainingRun(task, mechanism, config.pattern, config.data.source, config.seed)
    folder = artefact(make, run, data_sets, source=run.source, root=Path.cwd(), modules=modules_of(mechanism.name))
    return Measured(**read_json(folder / MEASURED))


def save(folder: Path, measured: Measured) -> None:
    """Leave what `cached_result` reads."""
    write_json(folder / MEASURED, asdict(measured))


def run_result(measured: Measured) -> ItemisedResult:
    """A cell's result, with what came out for each item of the test split."""
    return ItemisedResult(measured.metrics, measured.curves, measured.exhibits, measured.items)


def train_model(
    model: nn.Module,
    score: Score,
    parts: Mapping[str, tuple[Tensor, ...]],
    training: Training,
    seed: int,
    folder: Path,
) -> tuple[Task, History]:
    """Train a model by its recipe.

    Args:
        model: With its initial weights.
        score: Loss and metrics of a batch.
        parts: The tensors of the splits `train` and `validation`.
        training: The recipe.
        seed: Of the order of batches and of every draw inside a step.
        folder: Where checkpoints go.

    Returns:
        The model with the weights of its best epoch by validation loss, and the metrics of each epoch.
    """
    task = Task(model, score, training)
    history = fit(
        task,
        loader(parts["train"], training.batch_size, seed=seed),
        evaluation_batches(parts["validation"], training),
        seed=seed,
        folder=folder,
        best="validation_loss",
        mode="min",
    )
    load_weights(task, folder, "best")
    task.to(
        best_device()
    )  # Lightning has moved it back to the CPU; what is measured next is measured where it was trained
    return task, history


def seconds_of(history: History) -> float:
    """The seconds that the training steps took, validation left out."""
    return sum(epoch["train_time_s"] for epoch in history.epochs)


def curves_of(history: History, prefix: str = "") -> dict[str, list[float]]:
    """The losses of training and of validation by epoch, under their names after `prefix`."""
    names = ("train_loss", "validation_loss")
    return {prefix + name: [round(epoch[name], 6) for epoch in history.epochs] for name in names}


def evaluation_batches(tensors: tuple[Tensor, ...], training: Training) -> DataLoader[tuple[Tensor, ...]]:
    """Batches in order, for validation and test: twice as large as those of training, because no gradients are kept."""
    return loader(tensors, 2 * training.batch_size)


@torch.inference_mode()
def each_item(
    task: Task, score: Callable[[nn.Module, Any], dict[str, Tensor]], batches: DataLoader[Any]
) -> dict[str, Tensor]:
    """What `score(model, batch)` says of every item of a split, `(b,)` per batch and name, in evaluation mode: `(n,)`, in order, float64."""
    task.eval()
    device = next(task.parameters(), torch.empty(0)).device
    found: dict[str, list[Tensor]] = {}
    for batch in batches:
        for name, values in score(task.model, tuple(tensor.to(device) for tensor in batch)).items():
            found.setdefault(name, []).append(values.double().cpu())
    return {name: torch.cat(values) for name, values in found.items()}


def as_items(values: Tensor) -> list[float]:
    """Values by item, with six significant figures, to be kept."""
    return [float(f"{value:.6g}") for value in values.tolist()]
