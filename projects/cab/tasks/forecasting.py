"""Forecasts of long sequences, for noncausal self and noncausal cross attention.

Losses are of series scaled by the training split, as in Informer (Zhou et al. 2021).
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from projects.cab.config import Config, Lstf
from projects.cab.data import series_windows
from projects.cab.models.forecaster import Forecaster
from projects.cab.tasks.cached_training import (
    TrainingRun,
    cached_metrics,
    evaluation_batches,
    save_metrics,
    train_model,
)
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.trainer import evaluate

INDEX_METRICS = ("household_power_mse", "household_power_mae", "appliances_mse", "appliances_mae")


def train(config: Config, folder: Path) -> RunResult:
    """MSE and MAE of the test windows of each data set, the parameters of the layers under test, and the seconds of training."""
    return RunResult(metrics_of(config))


def metrics_of(config: Config, attention: str | None = None) -> dict[str, float]:
    """The task's metrics, with another mechanism if one is named."""
    assert config.lstf is not None
    return cached_metrics(config, fit_forecasters, config.lstf, config.lstf.sets, attention=attention)


def fit_forecasters(run: TrainingRun[Lstf], folder: Path) -> None:
    """Train one model per data set and leave the metrics of all."""
    task = run.task
    metrics: dict[str, float] = {"attention_parameters": 0.0, "train_time_s": 0.0}
    for name in task.sets:
        parts = series_windows(name, run.source, task)
        torch.manual_seed(run.seed)
        model = Forecaster(task, run.attention, run.pattern, parts["train"][0].shape[-1])
        trained, seconds = train_model(model, score, parts, task.training, run.seed, folder / name)
        scores = evaluate(trained, evaluation_batches(parts["test"], task.training))
        metrics |= {f"{name}_mse": scores["loss"], f"{name}_mae": scores["mae"]}
        metrics["attention_parameters"] += model.layers.parameter_count()
        metrics["train_time_s"] += seconds
    save_metrics(folder, metrics)


def score(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Mean squared and mean absolute error over a batch's windows."""
    known, clock, coming, target = batch
    error = model(known, clock, coming) - target
    return {"loss": error.square().mean(), "mae": error.abs().mean()}
