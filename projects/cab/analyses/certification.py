"""Which mechanism has which pattern: certification decides, not a list."""

from pathlib import Path

from projects.cab.config import Config
from regard.certification import PROPERTIES, certify
from regard.common.patterns import ALL_PATTERNS
from regard_lab.experiment.run_result import RunResult


def certified(config: Config, folder: Path) -> RunResult:
    """1 for each pattern in which all properties that are asked for hold, 0 where it is not declared or one fails; and how many fail, of how many."""
    assert config.certification is not None
    asked = [name for name, _ in PROPERTIES if config.certification.compiled or name != "compilation"]
    outcomes = certify(config.attention.name, options=config.attention.options or None, properties=asked)
    metrics: dict[str, float] = {}
    for pattern in ALL_PATTERNS:
        passed = [outcome.passed for outcome in outcomes if outcome.pattern == pattern]
        metrics[pattern] = float(bool(passed) and all(passed))
    failed = [f"{outcome.pattern}, {outcome.property}: {outcome.detail}" for outcome in outcomes if not outcome.passed]
    return RunResult(
        {**metrics, "failures": float(len(failed)), "properties": float(len(asked))}, exhibits={"failed": failed}
    )
