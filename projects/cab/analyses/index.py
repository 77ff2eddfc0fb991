"""Our own compositional index over what the tasks measure, by constants frozen at each scale.

A cell of the tables `index`, `benefit` and `own` reads metrics of models that the task tables have trained, or trains what is missing.
"""

from pathlib import Path

from projects.cab.analyses.z_scores import Constant, mean_z
from projects.cab.config import NONE, Config
from projects.cab.tasks.by_pattern import TABLES, task_metrics
from regard_lab.common.errors import DataMissing
from regard_lab.experiment.run_result import RunResult


def index(config: Config, folder: Path) -> RunResult:
    """The index of a mechanism in the config's pattern, and what it gains over the same model without that attention."""
    own, without = index_of(config, None), index_of(config, NONE)
    return RunResult({"index": own, "over_none": own - without})


def own(config: Config, folder: Path) -> RunResult:
    """As `index`, with the size of the layers and the time of training: a row of a user's own mechanism."""
    metrics = task_metrics(config)
    more = {name: metrics[name] for name in ("attention_parameters", "train_time_s")}
    return RunResult({**index(config, folder).metrics, **more})


def benefit(config: Config, folder: Path) -> RunResult:
    """The index with softmax attention, without attention, and the difference."""
    with_attention, without = index_of(config, "softmax"), index_of(config, NONE)
    return RunResult({"with_attention": with_attention, "without": without, "benefit": with_attention - without})


def index_of(config: Config, attention: str | None) -> float:
    """The mean z-score of the task's metrics.

    Args:
        config: Its `constants` are those frozen at its scale; they are no part of what is trained.
        attention: A mechanism's name in place of the configured one, or `none`.

    Returns:
        The index.

    Raises:
        DataMissing: No constants are frozen at this scale.
    """
    if config.constants is None:
        raise DataMissing(
            f"no constants are frozen for {config.pattern} at scale {config.scale}: run the tables {', '.join(TABLES.values())}"
            f" at that scale, then `python -m projects.cab.freeze_constants --scale {config.scale}`"
        )
    constants = {name: Constant(constant["mean"], constant["sd"]) for name, constant in config.constants.items()}
    metrics = task_metrics(config, attention)
    return mean_z({name: metrics[name] for name in constants}, constants)
