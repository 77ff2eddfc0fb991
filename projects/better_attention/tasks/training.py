"""The one training path of this project: a model is built from its seed, trained by the recipe, and kept at two epochs, the best and the last."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from projects.better_attention.config import Config
from projects.better_attention.models.layers import attention_parameters
from regard.bench.timing import elapsed_s
from regard_lab.training.device import best_device
from regard_lab.training.trainer import History, Score, Task, evaluate, fit, load_weights, loader

LATENCY_BATCH = 32
Tensors = tuple[Tensor, ...]
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Trained(Generic[M]):
    """A trained model with the weights of its best epoch, until `use` takes the other ones.

    `weights` are those of the best and of the last epoch, `batch_size` that of evaluation.
    """

    model: M
    task: Task
    history: History
    weights: dict[Literal["best", "last"], dict[str, Tensor]]
    batch_size: int

    def use(self, which: Literal["best", "last"]) -> None:
        """Give the model the weights of that epoch."""
        self.task.load_state_dict(self.weights[which])

    def scores(self, tensors: Tensors) -> dict[str, float]:
        """The scores of a whole split in evaluation mode, means over its examples."""
        return evaluate(self.task, loader(tensors, self.batch_size))

    def curves(self, *names: str) -> dict[str, list[float]]:
        """Metrics by epoch, such as `validation_loss`."""
        return {name: [epoch[name] for epoch in self.history.epochs] for name in names}

    def costs(self, inputs: Tensors, repeats: int) -> dict[str, float]:
        """attention_parameters, seconds_per_epoch (the median over epochs of the time in training steps) and latency_ms on the first of `inputs`."""
        return {
            "attention_parameters": float(attention_parameters(self.model)),
            "seconds_per_epoch": median([epoch["train_time_s"] for epoch in self.history.epochs]),
            "latency_ms": latency_ms(self.model, inputs, repeats),
        }


def train_model(
    config: Config,
    folder: Path,
    build: Callable[[], M],
    score: Score,
    *,
    train: Tensors,
    validation: Tensors,
    batch_size: int,
    best: str = "validation_loss",
    mode: Literal["min", "max"] = "min",
) -> Trained[M]:
    """Train a model by the config's recipe.

    Args:
        config: Its `training` and `seed` are used.
        folder: Where checkpoints are kept, from which an interrupted run is resumed.
        build: Makes the model; every random draw in it comes from the seed.
        score: `score(model, batch)` gives the loss and further metrics of a batch, each a mean over its examples.
        train: Tensors of the same number of rows, the examples to train on.
        validation: Those to validate on after each epoch.
        batch_size: Of evaluation.
        best: The metric that chooses the best epoch. Default: "validation_loss".
        mode: Whether its best value is its least (`min`) or its greatest (`max`). Default: "min".

    Returns:
        The model on the accelerator if there is one, with the weights of its best epoch.
    """
    assert config.training is not None
    torch.manual_seed(config.seed)
    model = build()
    task = Task(model, score, config.training)
    history = fit(
        task,
        loader(train, config.training.batch_size, seed=config.seed),
        loader(validation, batch_size),
        seed=config.seed,
        folder=folder,
        best=best,
        mode=mode,
    )
    task.to(best_device())  # Lightning returns the model on the CPU
    # Both at once: of several processes, the first to finish removes the checkpoints.
    weights: dict[Literal["best", "last"], dict[str, Tensor]] = {}
    load_weights(task, folder, "last")
    weights["last"] = copy.deepcopy(task.state_dict())
    load_weights(task, folder, "best")
    weights["best"] = copy.deepcopy(task.state_dict())
    return Trained(model, task, history, weights, batch_size)


@torch.inference_mode()
def latency_ms(model: nn.Module, inputs: Tensors, repeats: int) -> float:
    """Milliseconds of a forward pass on the first `LATENCY_BATCH` rows of `inputs`: the least of `repeats`, after two warm-up calls.

    The least, because other work on the machine can only make a pass longer.
    """
    model.eval()
    device = next(model.parameters()).device
    batch = [tensor[:LATENCY_BATCH].to(device) for tensor in inputs]
    times = [elapsed_s(lambda: model(*batch)) for _ in range(repeats + 2)]
    return 1e3 * min(times[2:])
