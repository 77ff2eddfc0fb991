"""Which task stands for which pattern."""

from projects.cab.config import Config
from projects.cab.tasks import forecasting, language_modelling, translation
from regard.common.patterns import Pattern

TABLES: dict[Pattern, str] = {
    "noncausal_self": "lstf_self",
    "causal_self": "lm",
    "noncausal_cross": "lstf_cross",
    "causal_cross": "translation",
}
INDEX_METRICS: dict[Pattern, tuple[str, ...]] = {
    "noncausal_self": forecasting.INDEX_METRICS,
    "causal_self": language_modelling.INDEX_METRICS,
    "noncausal_cross": forecasting.INDEX_METRICS,
    "causal_cross": translation.INDEX_METRICS,
}


def task_metrics(config: Config, attention: str | None = None) -> dict[str, float]:
    """What the task of the config's pattern measures.

    Args:
        config: Its section for that task must be there.
        attention: A mechanism's name in place of the configured one, or `none`.

    Returns:
        The metrics by name, out of the cache if the model has been trained.

    Raises:
        ValueError: The config has no section for the task.
    """
    section: object  # of the config; the task reads it there
    match config.pattern:
        case "noncausal_self" | "noncausal_cross":
            section, result_of = config.lstf, forecasting.result_of
        case "causal_self":
            section, result_of = config.lm, language_modelling.result_of
        case "causal_cross":
            section, result_of = config.translation, translation.result_of
    if section is None:
        raise ValueError(f"the pattern {config.pattern} needs its task: choose table={TABLES[config.pattern]}")
    return result_of(config, attention).metrics
