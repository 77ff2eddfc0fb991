"""The recipe of a training: one schema, one optimiser and one schedule for every project.

    learning rate of step s of S:  r · warm(s) · fall(s)      warm(s) = min(1, (s + 1) / (W + 1))
    fall(s) = 1  (constant),  1 - s / S  (linear),  ½ (1 + cos(π s / S))  (cosine)

Imports no torch until an optimiser is built: configs are composed without it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    import torch


Strategy = Literal["auto", "ddp", "ddp_find_unused_parameters_true", "fsdp"]
MatmulPrecision = Literal["highest", "high", "medium"]
Precision = Literal["32-true", "16-mixed", "bf16-mixed", "bf16-true", "64-true"]


@dataclass
class Training:
    """How a model is trained. A key that is left out has the default below; `strategy` and `precision` are Lightning's words.

    `epochs` is the number of passes over the training data; a step takes `batch_size` examples per device and
    `accumulate` batches. `epsilon` is the optimiser's. `schedule` makes the learning rate fall to 0 over all steps
    after it has risen for `warm_up_steps`; `clip_norm` is the largest norm of a step's gradient.
    `float32_matmul_precision` is torch's word: `high` lets a GPU multiply float32 in TF32, `highest`, the default, does
    not.
    """

    optimiser: Literal["adam", "adamw", "rmsprop"]
    learning_rate: PositiveFloat
    batch_size: PositiveInt
    epochs: PositiveInt
    weight_decay: NonNegativeFloat = 0.0
    epsilon: PositiveFloat = 1e-8
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warm_up_steps: NonNegativeInt = 0
    clip_norm: PositiveFloat | None = None
    accumulate: PositiveInt = 1
    devices: PositiveInt = 1
    strategy: Strategy = "auto"
    precision: Precision = "32-true"
    float32_matmul_precision: MatmulPrecision = "highest"


def optimiser(
    parameters: "Iterable[torch.nn.Parameter] | Iterable[dict[str, Any]]", training: Training
) -> "torch.optim.Optimizer":
    """The configured optimiser.

    Args:
        parameters: The parameters to train, or groups of them in torch's form; a group with an `lr` of its own keeps
            it.
        training: The recipe.
    """
    import torch

    options: dict[str, Any] = {
        "lr": training.learning_rate,
        "weight_decay": training.weight_decay,
        "eps": training.epsilon,
    }
    match training.optimiser:
        case "adam":
            return torch.optim.Adam(parameters, **options)
        case "adamw":
            return torch.optim.AdamW(parameters, **options)
        case "rmsprop":  # Keras' decay of the mean square, where torch's own default is 0.99
            return torch.optim.RMSprop(parameters, alpha=0.9, **options)


def rate(step: int, steps: int, training: Training) -> float:
    """The factor of the learning rate at step `step` (from 0) of `steps`."""
    warm = min(1.0, (step + 1) / (training.warm_up_steps + 1))
    match training.schedule:
        case "constant":
            return warm
        case "linear":
            return warm * max(0.0, 1 - step / steps)
        case "cosine":
            return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps))))


def scheduled(optimiser: "torch.optim.Optimizer", steps: int, training: Training) -> Any:
    """The optimiser with its schedule over `steps` steps, in Lightning's form; the optimiser alone if its learning rate is constant."""
    import torch

    if training.schedule == "constant" and not training.warm_up_steps:
        return optimiser
    falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, steps, training))
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": falling, "interval": "step"}}


def trainer_options(training: Training) -> dict[str, Any]:
    """The part of a recipe that Lightning's `Trainer` carries out."""
    return {
        "max_epochs": training.epochs,
        "devices": training.devices,
        "strategy": training.strategy,
        "precision": training.precision,
        "gradient_clip_val": training.clip_norm,
        "accumulate_grad_batches": training.accumulate,
    }
