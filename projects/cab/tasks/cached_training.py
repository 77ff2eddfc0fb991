"""One model of a task, trained once for every table that needs it.

`cached_metrics` gives its metrics, out of `runs/artefacts` if they are there. What decides a trained model is a `TrainingRun`; the index, its
constants and the tables are no part of it, so that none of them trains anything again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import Tensor, nn
from torch.utils.data import DataLoader

from projects.cab.config import Attention, Config, Lm, Lstf, Translation, modules_of
from regard.common.patterns import Pattern
from regard_lab.common.files import read_json, write_json
from regard_lab.experiment.artefacts import artefact
from regard_lab.training.recipe import Training
from regard_lab.training.trainer import Task, fit, load_weights, loader

METRICS = "metrics.json"
Score = Callable[[nn.Module, Any], dict[str, Tensor]]
Section = TypeVar("Section", Lstf, Lm, Translation)


@dataclass(frozen=True)
class TrainingRun(Generic[Section]):
    """Everything that decides a trained model. `task` is the section of the config."""

    task: Section
    attention: Attention
    pattern: Pattern
    source: str
    seed: int


def cached_metrics(
    config: Config,
    make: Callable[[TrainingRun[Section], Path], None],
    task: Section,
    data_sets: Sequence[str],
    *,
    attention: str | None = None,
) -> dict[str, float]:
    """The metrics of a task's model, trained now if it has not been.

    Args:
        config: Says which mechanism, pattern, source and seed.
        make: Trains the model of a `TrainingRun`, and leaves its metrics in a folder by `save_metrics`.
        task: The section of the config.
        data_sets: The data sets that `make` reads.
        attention: A mechanism's name in place of the configured mechanism, with its default options.

    Returns:
        The metrics by name.
    """
    mechanism = config.attention if attention is None else Attention(attention, "", {})
    run = TrainingRun(task, mechanism, config.pattern, config.data.source, config.seed)
    folder = artefact(make, run, data_sets, source=run.source, root=Path.cwd(), modules=modules_of(mechanism.name))
    metrics: dict[str, float] = read_json(folder / METRICS)
    return metrics


def save_metrics(folder: Path, metrics: dict[str, float]) -> None:
    """Leave what `cached_metrics` reads."""
    write_json(folder / METRICS, metrics)


def train_model(
    model: nn.Module,
    score: Score,
    parts: Mapping[str, tuple[Tensor, ...]],
    training: Training,
    seed: int,
    folder: Path,
) -> tuple[Task, float]:
    """Train a model by its recipe.

    Args:
        model: With its initial weights.
        score: Loss and metrics of a batch.
        parts: The tensors of the splits `train` and `validation`.
        training: The recipe.
        seed: Of the order of batches and of every draw inside a step.
        folder: Where checkpoints go.

    Returns:
        The model with the weights of its best epoch by validation loss, and the seconds that its training steps took.
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
    return task, sum(epoch["train_time_s"] for epoch in history.epochs)


def evaluation_batches(tensors: tuple[Tensor, ...], training: Training) -> DataLoader[tuple[Tensor, ...]]:
    """Batches in order, for validation and test: twice as large as those of training, because no gradients are kept."""
    return loader(tensors, 2 * training.batch_size)
