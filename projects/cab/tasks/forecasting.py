"""Forecasts of long sequences, for noncausal self and noncausal cross attention.

Losses are of series scaled by the training split, as in Informer (Zhou et al. 2021).
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from projects.cab.config import Config, Lstf
from projects.cab.data.series import series_windows
from projects.cab.models.forecaster import Forecaster
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

INDEX_METRICS = ("household_power_mse", "household_power_mae", "appliances_mse", "appliances_mae")


def train(config: Config, folder: Path) -> RunResult:
    """MSE and MAE of the test windows of each data set, the parameters of the layers under test, and the seconds of training."""
    return run_result(result_of(config))


def train_one(config: Config, folder: Path) -> RunResult:
    """The same of a single data set, whose name is no part of the metrics' names."""
    assert config.lstf is not None
    (name,) = config.lstf.sets
    measured = result_of(config)
    metrics, curves, items = (
        {key.removeprefix(f"{name}_"): value for key, value in part.items()}
        for part in (measured.metrics, measured.curves, measured.items)
    )
    return run_result(Measured(metrics, curves, items))  # type: ignore[arg-type]


def result_of(config: Config, attention: str | None = None) -> Measured:
    """What the task measures, with another mechanism if one is named."""
    assert config.lstf is not None
    return cached_result(config, fit_forecasters, config.lstf, config.lstf.sets, attention=attention)


def fit_forecasters(run: TrainingRun[Lstf], folder: Path) -> None:
    """Train one model per data set and leave what all measure."""
    task = run.task
    measured = Measured({"attention_parameters": 0.0, "train_time_s": 0.0})
    for name in task.sets:
        parts = series_windows(name, run.source, task)
        torch.manual_seed(run.seed)
        model = Forecaster(task, run.attention, run.pattern, parts["train"][0].shape[-1])
        trained, history = train_model(model, score, parts, task.training, run.seed, folder / name)
        errors = each_item(trained, errors_by_window, evaluation_batches(parts["test"], task.training))
        for metric, values in errors.items():
            measured.metrics[f"{name}_{metric}"] = float(values.mean())
            measured.items[f"{name}_{metric}"] = as_items(values)
        measured.curves.update(curves_of(history, f"{name}_"))
        measured.metrics["attention_parameters"] += model.layers.parameter_count()
        measured.metrics["train_time_s"] += seconds_of(history)
    save(folder, measured)


def score(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Mean squared and mean absolute error over a batch's windows."""
    errors = errors_by_window(model, batch)
    return {"loss": errors["mse"].mean(), "mae": errors["mae"].mean()}


def errors_by_window(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Mean squared and mean absolute error of each window, `(b,)`."""
    known, clock, coming, target = batch
    error = model(known, clock, coming) - target
    return {"mse": error.square().mean((1, 2)), "mae": error.abs().mean((1, 2))}
