"""Our own compositional index over what the tasks measure, by constants frozen at each scale.

    index of a pattern = mean over its tasks of the mean over a task's metrics of ± (x − μ) / σ

as in the paper; a task or a metric without frozen constants, because its mechanisms could not be told apart, is no part
of it. A cell of the tables `index`, `benefit` and `own` reads metrics of models that the task tables have trained, or
trains what is missing.
"""

import statistics
from pathlib import Path

from projects.cab.analyses.z_scores import Constant, mean_z
from projects.cab.config import NONE, Config
from projects.cab.tasks.by_pattern import TASKS, PatternTask, tables_of, task_metrics
from regard_lab.common.errors import DataMissing
from regard_lab.experiment.run_result import RunResult


def index(config: Config, folder: Path) -> RunResult:
    """The index of a mechanism in the config's pattern, over how many tasks, and what it gains over the same model without that attention."""
    own, without = index_of(config, None), index_of(config, NONE)
    return RunResult({"index": own, "over_none": own - without, "tasks": float(len(tasks_of(config)))})


def own(config: Config, folder: Path) -> RunResult:
    """As `index`, with the size of the layers and the time of training, both over all tasks: a row of a user's own mechanism."""
    metrics = [task_metrics(config, task) for task in tasks_of(config)]
    more = {name: sum(each[name] for each in metrics) for name in ("attention_parameters", "train_time_s")}
    return RunResult({**index(config, folder).metrics, **more})


def benefit(config: Config, folder: Path) -> RunResult:
    """The index with softmax attention, without attention, and the difference."""
    with_attention, without = index_of(config, "softmax"), index_of(config, NONE)
    return RunResult({"with_attention": with_attention, "without": without, "benefit": with_attention - without})


def tasks_of(config: Config) -> list[PatternTask]:
    """The tasks of the config's pattern that have constants.

    Raises:
        DataMissing: None has at this scale.
    """
    tasks = [task for task in TASKS[config.pattern] if task.table in (config.constants or {})]
    if not tasks:
        raise DataMissing(
            f"no constants are frozen for {config.pattern} at scale {config.scale}: run the tables {', '.join(tables_of(config.pattern))}"
            f" at that scale, then `python -m projects.cab.freeze_constants --scale {config.scale}`, which says what it refuses"
        )
    return tasks


def index_of(config: Config, attention: str | None) -> float:
    """The mean over the pattern's tasks of their mean z-scores.

    Args:
        config: Its `constants` are those frozen at its scale; they are no part of what is trained.
        attention: A mechanism's name in place of the configured one, or `none`.

    Returns:
        The index.

    Raises:
        DataMissing: No constants are frozen at this scale.
    """
    scores = []
    for task in tasks_of(config):
        frozen = (config.constants or {})[task.table]
        constants = {name: Constant(constant["mean"], constant["sd"]) for name, constant in frozen.items()}
        metrics = task_metrics(config, task, attention)
        scores.append(mean_z({name: metrics[name] for name in constants}, constants))
    return statistics.fmean(scores)
