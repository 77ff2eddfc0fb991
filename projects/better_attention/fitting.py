"""Training a model of sequences: the best epoch is that of the least validation loss, and the last one is measured beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from projects.better_attention.config import Config
from projects.better_attention.config import Training as TrainingConfig
from regard.bench.timing import elapsed_s
from regard_lab.training.trainer import History, Task, fit, loader

Score = Callable[[nn.Module, Any], dict[str, Tensor]]
OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    # Keras' decay of the mean square, where torch's own default is 0.99
    "rmsprop": lambda *arguments, **options: torch.optim.RMSprop(*arguments, alpha=0.9, **options),
}
EVALUATION_BATCH = 128
LATENCY_BATCH = 32


def fitted(
    model: nn.Module, score: Score, parts: dict[str, tuple[Tensor, ...]], config: Config, folder: Path
) -> tuple[Task, History]:
    """Train on `parts["train"]` for the budget's epochs; leaves the checkpoints `best` and `last` in `folder`."""
    training = config.training
    task = Task(model, score, lambda module: optimiser(module, training))
    history = fit(
        task,
        loader(parts["train"], training.batch_size, seed=config.seed),
        loader(parts["validation"], EVALUATION_BATCH),
        epochs=config.budget.epochs,
        seed=config.seed,
        folder=folder,
        best="validation_loss",
        mode="min",
        trainer_options={
            "devices": training.devices,
            "strategy": training.strategy,
            "precision": training.precision,
        },
    )
    return task, history


@torch.inference_mode()
def latency_ms(model: nn.Module, inputs: tuple[Tensor, ...], repeats: int) -> float:
    """Milliseconds of a forward pass on the first `LATENCY_BATCH` of `inputs`: the least of `repeats`, after two calls to warm up.

    The least, because other work on the machine can only make a pass longer.
    """
    model.eval()
    device = next(model.parameters()).device
    batch = [tensor[:LATENCY_BATCH].to(device) for tensor in inputs]
    times = [elapsed_s(lambda: model(*batch)) for _ in range(repeats + 2)]
    return 1e3 * min(times[2:])


def optimiser(model: nn.Module, training: TrainingConfig) -> torch.optim.Optimizer:
    """The configured optimiser with Keras' epsilon."""
    kind = OPTIMISERS[training.optimiser]
    return kind(model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, eps=1e-7)


def begin_as_keras(module: nn.Module) -> None:
    """Glorot-uniform maps, W^A among them, zero biases, embeddings uniform in ± 0.05."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            nn.init.uniform_(part.weight, -0.05, 0.05)


def check_sequences(config: Config) -> None:
    """What a translator and a language model have in common to be checked."""
    data, model, training, budget = config.data, config.model, config.training, config.budget
    if data.vocabulary is None or data.length is None:
        raise ValueError(
            f"data set {data.name} must set vocabulary and length, got {data.vocabulary} and {data.length}"
        )
    at_least_one = {
        "data.length": data.length,
        "model.blocks": model.blocks,
        "training.batch_size": training.batch_size,
        "budget.epochs": budget.epochs,
        "budget.train_examples": 1 if budget.train_examples is None else budget.train_examples,
        "model.hidden": min(model.hidden, default=1),
    }
    for key, number in at_least_one.items():
        if number < 1:
            raise ValueError(f"{key} must be at least 1, got {number}")
    if len(model.hidden) != 1:
        raise ValueError(f"model.hidden must be the one width of the feed-forward part, got {model.hidden}")
    if training.optimiser not in OPTIMISERS:
        raise ValueError(f"training.optimiser must be one of {', '.join(OPTIMISERS)}, got {training.optimiser!r}")
    if training.learning_rate <= 0 or training.weight_decay < 0:
        rates = f"{training.learning_rate} and {training.weight_decay}"
        raise ValueError(f"learning_rate must be positive and weight_decay not negative, got {rates}")
    for key, share in {"model.dropout": model.dropout, "model.head_dropout": model.head_dropout}.items():
        if not 0 <= share < 1:
            raise ValueError(f"{key} must be at least 0 and below 1, got {share}")
