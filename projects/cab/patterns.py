"""Which mechanism has which pattern: certification decides, not a list."""

from pathlib import Path

from projects.cab.project import Config
from regard.certify import certify
from regard.patterns import ALL_PATTERNS
from regard_lab.measured import Measured


def certified(config: Config, folder: Path) -> Measured:
    """1 for a pattern in which every property holds, 0 for one that is not declared or where one fails; and how many fail."""
    outcomes = certify(config.attention.name, options=config.attention.options or None)
    metrics = {}
    for pattern in ALL_PATTERNS:
        here = [outcome.passed for outcome in outcomes if outcome.pattern == pattern]
        metrics[pattern] = float(bool(here) and all(here))
    failed = [f"{outcome.pattern}, {outcome.property}: {outcome.detail}" for outcome in outcomes if not outcome.passed]
    return Measured({**metrics, "failures": float(len(failed))}, exhibits={"failed": failed})
