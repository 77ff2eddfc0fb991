"""What the tables of this project multiply: see `analyses.compute_budget`, whose works these are, with their memory left open."""

from collections.abc import Sequence

from projects.smyrf.config import Config
from regard_lab.hours import Work


def works(table: str, cells: Sequence[Config]) -> list[Work]:
    """The works of a table; those that are timed for seconds (`speed`, `memory`) have none."""
    from projects.smyrf.analyses.compute_budget.report import TABLES
    from projects.smyrf.analyses.compute_budget.work import merged

    if table not in TABLES:
        return []
    return [Work(work.what, work.times, work.flops) for work in merged(TABLES[table](list(cells)))]


def why_not(table: str) -> str | None:
    """Why nothing is counted for a table, in a sentence's end; `None` where works are."""
    return {
        "speed": "its calls are timed for seconds",
        "memory": "one step of each layer is measured, for seconds",
    }.get(table)
