"""Train one cell: `python -m projects.better_attention.train experiment=imdb model.attention=super scale=laptop seed=0`."""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.better_attention.config import PROJECT, Config, leaves_maps
from projects.better_attention.learning import EVALUATION_BATCH, fitted
from projects.better_attention.maps import exhibits
from regard_lab.experiment.run_one import command_of
from regard_lab.experiment.run_result import RunResult


def train(config: Config, folder: Path) -> RunResult:
    """Train the configured model and measure it: by the epoch of best validation accuracy, as the paper does, and by the last one.

    Accuracies are in %, losses in nats a text or picture; all in evaluation mode over whole splits. Of ratings there are root mean square errors and
    Pearson's correlation instead, and the best epoch is that of the least validation error.
    """
    return rated(config, folder) if config.data.target == "rating" else classified(config, folder)


def classified(config: Config, folder: Path) -> RunResult:
    """Classes."""
    curves = ("train_loss", "validation_loss", "validation_accuracy")
    done = fitted(config, folder, score, "validation_accuracy", "max", curves)
    return RunResult(
        metrics={
            **done.common,
            "train_accuracy": done.train["accuracy"],
            "train_loss": done.train["loss"],
            "validation_accuracy": max(done.curves["validation_accuracy"]),
            "test_accuracy": done.best["accuracy"],
            "test_loss": done.best["loss"],
            "last_epoch_test_accuracy": done.last["accuracy"],
        },
        curves=done.curves,
        exhibits=exhibits(config, done.model, done.test[0]) if leaves_maps(config) else {},
    )


def rated(config: Config, folder: Path) -> RunResult:
    """Ratings. Errors are in the ratings' own points."""
    done = fitted(config, folder, squared_error, "validation_loss", "min", ("train_loss", "validation_loss"))
    return RunResult(
        metrics={
            **done.common,
            "train_rmse": done.train["loss"] ** 0.5,
            "validation_rmse": min(done.curves["validation_loss"]) ** 0.5,
            "test_rmse": done.best["loss"] ** 0.5,
            "test_correlation": correlation(done.model, *done.test),
            "last_epoch_test_rmse": done.last["loss"] ** 0.5,
        },
        curves=done.curves,
    )


def score(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Cross entropy (nats) and accuracy (%) of a batch; a model with one logit is scored by its sigmoid."""
    inputs, labels = batch
    logits = model(inputs)
    if logits.shape[-1] == 1:
        logit = logits.squeeze(-1)
        loss, predicted = F.binary_cross_entropy_with_logits(logit, labels.to(logit.dtype)), logit > 0
    else:
        loss, predicted = F.cross_entropy(logits, labels), logits.argmax(-1)
    return {"loss": loss, "accuracy": 100 * (predicted == labels).float().mean()}


def squared_error(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """The mean squared error of ratings (n,) float32."""
    inputs, ratings = batch
    return {"loss": F.mse_loss(model(inputs).squeeze(-1), ratings)}


@torch.inference_mode()
def correlation(model: nn.Module, inputs: Tensor, ratings: Tensor) -> float:
    """Pearson's correlation of outputs and ratings; 0 for a model that always says the same."""
    model.eval()
    device = next(model.parameters()).device
    said = torch.cat([model(part.to(device)).squeeze(-1).cpu() for part in inputs.split(EVALUATION_BATCH)]).double()
    if said.std() == 0:
        return 0.0
    return float(torch.corrcoef(torch.stack([said, ratings.double()]))[0, 1])


if __name__ == "__main__":
    sys.exit(command_of(PROJECT))
