"""Which mechanism has which pattern: certification decides, not a list."""

from pathlib import Path

from projects.cab.config import Config
from regard.certification import PROPERTIES, certify
from regard.common.patterns import ALL_PATTERNS
from regard_lab.experiment.run_result import RunResult


def certified(config: Config, folder: Path) -> RunResult:
    """1 for a pattern in which all properties asked for hold, 0 for one not declared or where one fails; how many fail, and were asked for."""
    assert config.certification is not None
    asked = [name for name, _ in PROPERTIES if config.certification.compiled or name != "compilation"]
    outcomes = certify(config.attention.name, options=config.attention.options or None, properties=asked)
    metrics = {}
    for pattern in ALL_PATTERNS:
        here = [outcome.passed for outcome in outcomes if outcome.pattern == pattern]
        metrics[pattern] = float(bool(here) and all(here))
    failed = [f"{outcome.pattern}, {outcome.property}: {outcome.detail}" for outcome in outcomes if not outcome.passed]
    return RunResult(
        {**metrics, "failures": float(len(failed)), "properties": float(len(asked))}, exhibits={"failed": failed}
    )
