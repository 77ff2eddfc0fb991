"""Train one cell: `python -m projects.better_attention.train data=imdb model.attention=super scale=laptop seed=0`."""

import sys
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.better_attention.data import splits
from projects.better_attention.model import Encoder
from projects.better_attention.project import PROJECT, Config
from projects.better_attention.project import Training as TrainingConfig
from regard_lab.measured import Measured
from regard_lab.training import Task, evaluate, fit, load_weights, loader

EVALUATION_BATCH = 500  # larger batches only make evaluation faster


def train(config: Config, folder: Path) -> Measured:
    """Train the configured model and measure it: by the epoch of best validation accuracy, as the paper does, and by the last one.

    Accuracies are in %, losses in nats a text or picture; all in evaluation mode over whole splits. `seconds_per_epoch` is the median over
    epochs of the time spent in training steps.
    """
    parts = splits(config.data, Path.cwd())
    train_part = tuple(tensor[: config.budget.train_examples] for tensor in parts["train"])
    torch.manual_seed(config.seed)
    model = Encoder(config.data, config.model)
    task = Task(model, score, lambda module: optimiser(module, config.training))
    held_out = {name: loader(parts[name], EVALUATION_BATCH) for name in ("validation", "test")}
    history = fit(
        task,
        loader(train_part, config.training.batch_size, seed=config.seed),
        held_out["validation"],
        epochs=config.budget.epochs,
        seed=config.seed,
        folder=folder,
        trainer_options={
            "devices": config.training.devices,
            "strategy": config.training.strategy,
            "precision": config.training.precision,
        },
    )
    load_weights(task, folder, "last")
    last = evaluate(task, held_out["test"])
    load_weights(task, folder, "best")
    best = evaluate(task, held_out["test"])
    fitted = evaluate(task, loader(train_part, EVALUATION_BATCH))
    curves = {
        name: [epoch[name] for epoch in history.epochs]
        for name in ("train_loss", "validation_loss", "validation_accuracy")
    }
    return Measured(
        metrics={
            "attention_parameters": model.attention_parameters(),
            "model_size_mib": sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20,
            "train_accuracy": fitted["accuracy"],
            "train_loss": fitted["loss"],
            "validation_accuracy": max(curves["validation_accuracy"]),
            "test_accuracy": best["accuracy"],
            "test_loss": best["loss"],
            "last_epoch_test_accuracy": last["accuracy"],
            "seconds_per_epoch": median([epoch["train_time_s"] for epoch in history.epochs]),
        },
        curves=curves,
    )


def score(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Cross entropy (nats) and accuracy (%) of a batch; a model with one logit is scored by its sigmoid."""
    inputs, labels = batch
    logits = model(inputs)
    if logits.shape[-1] == 1:
        logit = logits.squeeze(-1)
        loss, predicted = F.binary_cross_entropy_with_logits(logit, labels.to(logit.dtype)), logit > 0
    else:
        loss, predicted = F.cross_entropy(logits, labels), logits.argmax(-1)
    return {"loss": loss, "accuracy": 100 * (predicted == labels).float().mean()}


def optimiser(model: nn.Module, training: TrainingConfig) -> torch.optim.Optimizer:
    """Adam, or AdamW with its decoupled weight decay."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[training.optimiser]
    return kind(
        model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, eps=1e-7
    )  # Keras' epsilon


if __name__ == "__main__":
    from regard_lab.one_cell import command_of  # the command's own code decides nothing of what a cell gives

    sys.exit(command_of(PROJECT, "projects.better_attention.train:train"))
