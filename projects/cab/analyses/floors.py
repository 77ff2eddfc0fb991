"""What a referee would compute in ten minutes, on the very windows and sentences of a task (`regard_lab.evidence.floors`)."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from projects.cab.config import Config
from projects.cab.data.running_text import text_windows
from projects.cab.data.sentences import PADDING, sentence_pairs
from projects.cab.data.series import series_windows
from regard_lab.evidence import floors
from regard_lab.experiment.run_result import RunResult

SEASON = 24  # steps of an hour in a day; no window of the series here is shorter
Windows = dict[
    str, tuple[floors.Floats, floors.Floats]
]  # by split: known values (n, length, c) and those that followed (n, horizon, c)
Forecast = Callable[[Windows, int], floors.Floats]


def last_value(config: Config, folder: Path) -> RunResult:
    """The last value known, for all of the horizon."""
    return _forecast(config, lambda parts, horizon: floors.last_value(parts["test"][0], horizon))


def seasonal_naive(config: Config, folder: Path) -> RunResult:
    """The last day known, again and again."""
    return _forecast(config, lambda parts, horizon: floors.seasonal_naive(parts["test"][0], horizon, SEASON))


def window_mean(config: Config, folder: Path) -> RunResult:
    """The mean of the values known."""
    return _forecast(config, lambda parts, horizon: floors.window_mean(parts["test"][0], horizon))


def zero(config: Config, folder: Path) -> RunResult:
    """The mean of the training split, which is 0 after scaling."""
    return _forecast(config, lambda parts, horizon: np.zeros_like(floors.last_value(parts["test"][0], horizon)))


def ridge(config: Config, folder: Path) -> RunResult:
    """Ridge regression on each series' own window."""
    return _forecast(config, lambda parts, horizon: floors.ridge(parts["train"], parts["validation"], parts["test"][0]))


def _forecast(config: Config, forecast: Forecast) -> RunResult:
    """Mean squared and mean absolute errors of a forecast of the test windows, for each data set, and under plain names for a single one."""
    task = config.lstf
    assert task is not None
    metrics: dict[str, float] = {}
    for name in task.sets:
        windows = series_windows(name, config.data.source, task)
        parts = {split: (part[0].double().numpy(), part[-1].double().numpy()) for split, part in windows.items()}
        errors = forecast(parts, task.horizon) - parts["test"][1]
        metrics |= {f"{name}_mse": float(np.mean(errors**2)), f"{name}_mae": float(np.mean(np.abs(errors)))}
    if len(task.sets) == 1:
        metrics |= {metric.removeprefix(f"{task.sets[0]}_"): value for metric, value in metrics.items()}
    return RunResult(metrics)


def unigram(config: Config, folder: Path) -> RunResult:
    """The frequencies of subwords."""
    return _subwords(config, 1)


def bigram(config: Config, folder: Path) -> RunResult:
    """Two subwords, smoothed."""
    return _subwords(config, 2)


def trigram(config: Config, folder: Path) -> RunResult:
    """Three subwords, smoothed."""
    return _subwords(config, 3)


def fivegram(config: Config, folder: Path) -> RunResult:
    """Five subwords, smoothed."""
    return _subwords(config, 5)


def _subwords(config: Config, order: int) -> RunResult:
    """Perplexity per subword over the test windows, of which the first subword is context alone."""
    task = config.lm
    assert task is not None
    windows = text_windows(task, config.data.source)
    train, test = (list(windows[split][0].numpy()) for split in ("train", "test"))
    return RunResult({"perplexity": math.exp(floors.ngram_loss(train, test, task.vocabulary, order, given=1))})


def target_unigram(config: Config, folder: Path) -> RunResult:
    """The frequencies of the target's words; the source is not read."""
    return _targets(config, 1)


def target_trigram(config: Config, folder: Path) -> RunResult:
    """Three words of the target, smoothed; the source is not read."""
    return _targets(config, 3)


def _targets(config: Config, order: int) -> RunResult:
    """Perplexity per word of the test sentences, their ends included and their beginnings not."""
    task = config.translation
    assert task is not None
    pairs = sentence_pairs(task, config.data.source)
    train, test = (
        [row[row != PADDING] for row in pairs[split][1].numpy().astype(np.int64)] for split in ("train", "test")
    )
    return RunResult({"perplexity": math.exp(floors.ngram_loss(train, test, task.vocabulary, order, given=1))})
