"""Completion of point clouds, for noncausal self and noncausal cross attention.

Distances are times 1,000, as in PoinTr: CD-l1 is the mean of both directions' mean distances, CD-l2 the sum of both
directions' mean squared distances. A point is right for the F-score if one of the other cloud is nearer than 0.01.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from projects.cab.config import Config, Pcc
from projects.cab.data.clouds import cloud_pairs
from projects.cab.models.completion import Completion, gathered
from projects.cab.tasks.cached_training import (
    Measured,
    TrainingRun,
    as_items,
    cached_result,
    curves_of,
    each_item,
    evaluation_batches,
    run_result,
    save,
    seconds_of,
    train_model,
)
from regard_lab.experiment.run_result import RunResult

INDEX_METRICS = ("cd_l1", "cd_l2", "f_score")
NEAR = 0.01
TIMES = 1_000
LEAST = 1e-12  # under a root, whose slope at 0 is infinite


def train(config: Config, folder: Path) -> RunResult:
    """Chamfer distances and F-score of test views, the parameters of the layers under test, and the seconds of training."""
    return run_result(result_of(config))


def result_of(config: Config, attention: str | None = None) -> Measured:
    """What the task measures, with another mechanism if one is named."""
    assert config.pcc is not None
    return cached_result(config, fit_completion, config.pcc, [config.pcc.set], attention=attention)


def fit_completion(run: TrainingRun[Pcc], folder: Path) -> None:
    """Train the model and leave what it measures."""
    task = run.task
    parts = cloud_pairs(task, run.source)
    torch.manual_seed(run.seed)
    model = Completion(task, run.attention, run.pattern)
    trained, history = train_model(model, score, parts, task.training, run.seed, folder)
    found = each_item(trained, qualities, evaluation_batches(parts["test"], task.training))
    metrics = {name: float(values.mean()) for name, values in found.items()}
    metrics |= {"attention_parameters": float(model.layers.parameter_count()), "train_time_s": seconds_of(history)}
    save(folder, Measured(metrics, curves_of(history), {name: as_items(values) for name, values in found.items()}))


def score(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """CD-l1 of the coarse and of the fine cloud, together."""
    view, whole = batch
    coarse, fine = model(view)
    return {"loss": sum(chamfer(made, whole)[0].mean() for made in (coarse, fine))}  # type: ignore[dict-item]


def qualities(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """CD-l1, CD-l2 and F-score of the fine cloud of each view, `(b,)`."""
    view, whole = batch
    return quality_of(model(view)[1], whole)


def quality_of(made: Tensor, whole: Tensor) -> dict[str, Tensor]:
    """CD-l1 and CD-l2, times 1,000, and the F-score of clouds `(b, n, 3)` beside `(b, m, 3)`, each `(b,)`."""
    l1, l2 = chamfer(made, whole)
    right = [(side < NEAR**2).double().mean(1) for side in squared_distances(made, whole)]
    f_score = 2 * right[0] * right[1] / (right[0] + right[1]).clamp(min=LEAST)
    return {"cd_l1": TIMES * l1, "cd_l2": TIMES * l2, "f_score": f_score}


def chamfer(made: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
    """CD-l1 and CD-l2 of clouds `(b, n, 3)` and `(b, m, 3)`, each `(b,)`."""
    there, back = squared_distances(made, whole)
    l1 = (there.clamp(min=LEAST).sqrt().mean(1) + back.clamp(min=LEAST).sqrt().mean(1)) / 2
    return l1, there.mean(1) + back.mean(1)


def squared_distances(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Of each point of one cloud to the nearest of the other: `(b, n)` and `(b, m)`."""
    with torch.no_grad():
        between = torch.cdist(a, b)
        there, back = between.argmin(2), between.argmin(1)
    return (a - gathered(b, there)).square().sum(-1), (b - gathered(a, back)).square().sum(-1)
