"""Which tasks stand for which pattern: the paper's, and translation.

noncausal self     speech, summarisation, super-resolution, masked language model; forecasts and point clouds are not in the paper's either
causal self        speech, summarisation, language model
noncausal cross    point clouds, forecasts
causal cross       speech, summarisation; translation, which is ours
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from projects.cab.config import NONE, Config
from projects.cab.tasks import (
    completion,
    forecasting,
    language_modelling,
    masked_language_modelling,
    speech,
    summarisation,
    super_resolution,
    translation,
)
from projects.cab.tasks.cached_training import Measured
from regard.common.patterns import Pattern

VARIANT = "variant"  # the part of a row's key that names a released variant


@dataclass(frozen=True)
class PatternTask:
    """A task for a pattern.

    Attributes:
        table: Whose rows are the mechanisms in this task.
        section: Of the config.
        metrics: Those that enter the index.
        result_of: What the task measures for a config, with another mechanism if one is named.
        setting: The part of a row's key that is the setting of the index, where the table has several.
    """

    table: str
    section: str
    metrics: tuple[str, ...]
    result_of: Callable[[Config, str | None], Measured]
    setting: Mapping[str, str] = field(default_factory=dict)

    def counts(self, key: Mapping[str, Any]) -> bool:
        """Is a row one of the mechanisms over which the index's constants are taken: a definition, in the setting of the index?"""
        return self.setting.items() <= key.items() and VARIANT not in key and key["attention"] != NONE


TASKS: dict[Pattern, tuple[PatternTask, ...]] = {
    "noncausal_self": (
        PatternTask("tts_self", "speech", speech.INDEX_METRICS_OF_BOTH, speech.result_of),
        PatternTask("summary_self", "summary", summarisation.INDEX_METRICS, summarisation.result_of),
        PatternTask("sr", "sr", super_resolution.INDEX_METRICS, super_resolution.result_of),
        PatternTask("mlm", "mlm", masked_language_modelling.INDEX_METRICS, masked_language_modelling.result_of),
    ),
    "causal_self": (
        PatternTask("tts_causal", "speech", speech.INDEX_METRICS, speech.result_of),
        PatternTask("summary_causal", "summary", summarisation.INDEX_METRICS, summarisation.result_of),
        PatternTask(
            "lm", "lm", language_modelling.INDEX_METRICS, language_modelling.result_of, {"positions": "absolute"}
        ),
    ),
    "noncausal_cross": (
        PatternTask("pcc_cross", "pcc", completion.INDEX_METRICS, completion.result_of),
        PatternTask("lstf_cross", "lstf", forecasting.INDEX_METRICS, forecasting.result_of),
    ),
    "causal_cross": (
        PatternTask("tts_cross", "speech", speech.INDEX_METRICS, speech.result_of),
        PatternTask("summary_cross", "summary", summarisation.INDEX_METRICS, summarisation.result_of),
        PatternTask("translation", "translation", translation.INDEX_METRICS, translation.result_of),
    ),
}


def tables_of(pattern: Pattern) -> list[str]:
    """The tables of a pattern's tasks."""
    return [task.table for task in TASKS[pattern]]


def task_metrics(config: Config, task: PatternTask, attention: str | None = None) -> dict[str, float]:
    """What a task measures.

    Args:
        config: Its section for that task must be there.
        task: One of the config's pattern.
        attention: A mechanism's name in place of the configured one, or `none`.

    Returns:
        The metrics by name, out of the cache if the model has been trained.

    Raises:
        ValueError: The config has no section for the task.
    """
    if getattr(config, task.section) is None:
        raise ValueError(f"the pattern {config.pattern} needs its task: choose table={task.table}")
    return task.result_of(config, attention).metrics
