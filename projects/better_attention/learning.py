"""Training as every table of this project does it: one model, one loss, two checkpoints, and what is measured of all of them alike."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from projects.better_attention.config import Config
from projects.better_attention.data import splits
from projects.better_attention.fitting import latency_ms, optimiser
from projects.better_attention.model import Encoder
from regard_lab.data.subsets import drawn
from regard_lab.training.trainer import Task, evaluate, fit, load_weights, loader

EVALUATION_BATCH = 500  # larger batches only make evaluation faster
Score = Callable[[nn.Module, tuple[Tensor, ...]], dict[str, Tensor]]


@dataclass(frozen=True)
class Fitted:
    """A trained model with the weights of its best validation epoch; its scores on test (`best`, `last` epoch) and train, and its curves."""

    model: Encoder
    test: tuple[Tensor, ...]
    best: dict[str, float]
    last: dict[str, float]
    train: dict[str, float]
    curves: dict[str, list[float]]
    common: dict[str, float]


def fitted(
    config: Config, folder: Path, score: Score, best: str, mode: Literal["min", "max"], curves: tuple[str, ...]
) -> Fitted:
    """Train the configured model. `best` and `mode` say which epoch's weights it keeps; `curves` are metrics to follow over epochs.

    `common` holds attention_parameters, model_size_mib, seconds_per_epoch (the median over epochs of the time in training steps) and latency_ms.
    """
    parts = splits(config.data, Path.cwd())
    train_part = tuple(tensor[: config.budget.train_examples] for tensor in parts["train"])
    torch.manual_seed(config.seed)
    model = Encoder(config.data, config.model)
    if config.data.image_size is not None:
        model.pixels.adapt(train_part[0])
    task = Task(model, score, lambda module: optimiser(module, config.training))
    validation_part, test_part = (some(parts[name], config.budget.held_out_examples) for name in ("validation", "test"))
    history = fit(
        task,
        loader(train_part, config.training.batch_size, seed=config.seed),
        held_out(validation_part),
        epochs=config.budget.epochs,
        seed=config.seed,
        folder=folder,
        best=best,
        mode=mode,
        trainer_options={
            "devices": config.training.devices,
            "strategy": config.training.strategy,
            "precision": config.training.precision,
        },
    )
    if torch.accelerator.is_available():  # Lightning hands the model back on the CPU
        task.to(torch.accelerator.current_accelerator())
    load_weights(task, folder, "best")  # at once: of several processes, the first to finish clears the checkpoints away
    weights = copy.deepcopy(task.state_dict())
    load_weights(task, folder, "last")
    last = evaluate(task, held_out(test_part))
    task.load_state_dict(weights)
    return Fitted(
        model=model,
        test=test_part,
        best=evaluate(task, held_out(test_part)),
        last=last,
        train=evaluate(task, held_out(train_part)),
        curves={name: [epoch[name] for epoch in history.epochs] for name in curves},
        common={
            "attention_parameters": model.attention_parameters(),
            "model_size_mib": sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20,
            "seconds_per_epoch": median([epoch["train_time_s"] for epoch in history.epochs]),
            "latency_ms": latency_ms(model, test_part[:1], config.budget.repeats),
        },
    )


def some(tensors: tuple[Tensor, ...], wanted: int | None) -> tuple[Tensor, ...]:
    """`wanted` rows of a split, drawn, or all as they stand: the first rows may be mostly of one class."""
    if wanted is None:
        return tensors
    rows = drawn(range(len(tensors[0])), wanted)
    return tuple(tensor[rows] for tensor in tensors)


def held_out(tensors: tuple[Tensor, ...]) -> DataLoader[tuple[Tensor, ...]]:
    """Batches in order, for evaluation."""
    return loader(tensors, EVALUATION_BATCH)
