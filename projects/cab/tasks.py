"""Which task stands for which pattern, and our own index over what it measures."""

from pathlib import Path
from types import ModuleType
from typing import Any

from projects.cab import lm, lstf, translation
from projects.cab.config import NONE, Config
from projects.cab.index import Constant, mean_z
from projects.cab.learning import learnt
from regard.common.patterns import Pattern
from regard_lab.common.errors import DataMissing
from regard_lab.experiment.run_result import RunResult

TABLES: dict[Pattern, str] = {
    "noncausal_self": "lstf_self",
    "causal_self": "lm",
    "noncausal_cross": "lstf_cross",
    "causal_cross": "translation",
}
MODULES: dict[Pattern, ModuleType] = {
    "noncausal_self": lstf,
    "causal_self": lm,
    "noncausal_cross": lstf,
    "causal_cross": translation,
}


def train(config: Config, folder: Path) -> RunResult:
    """The metrics of the task of the config's pattern."""
    return RunResult(task_metrics(config))


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
    found = {
        name: index_of(config, attention) for name, attention in (("with_attention", "softmax"), ("without", NONE))
    }
    return RunResult({**found, "benefit": found["with_attention"] - found["without"]})


def index_of(config: Config, attention: str | None) -> float:
    """The mean z of the task's metrics, by the constants that were frozen at this scale; they are no part of what is trained."""
    if config.constants is None:
        raise DataMissing(
            f"no constants are frozen for {config.pattern} at scale {config.scale}: run the tables {', '.join(TABLES.values())}"
            f" at that scale, then `python -m projects.cab.freeze --scale {config.scale}`"
        )
    constants = {name: Constant(each["mean"], each["sd"]) for name, each in config.constants.items()}
    metrics = task_metrics(config, attention)
    return mean_z({name: metrics[name] for name in constants}, constants)


def task_metrics(config: Config, attention: str | None = None) -> dict[str, float]:
    """What the task of the config's pattern measures; of another attention if one is named."""
    module, section = task_of(config)
    sets = section.sets if module is lstf else [section.set]
    return learnt(config, module.train, section, sets, attention=attention)


def task_of(config: Config) -> tuple[ModuleType, Any]:
    """The module of the task and its section of the config."""
    module = MODULES[config.pattern]
    section = getattr(config, module.__name__.rpartition(".")[2])
    if section is None:
        raise ValueError(f"the pattern {config.pattern} needs its task: choose table={TABLES[config.pattern]}")
    return module, section
