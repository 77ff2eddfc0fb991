"""What the work of a cell gives back; the one thing that projects and the cell runner must agree on."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RunResult:
    """What a `run` function returns: one value a metric, and the values an epoch of what was followed over training.

    `exhibits` holds what a figure shows that is no metric, as plain JSON values: pictures (PNG as base64, `regard_lab.common.images`), tokens, maps.
    They travel in the cell's record and so in the result, which is in Git: keep them small.
    """

    metrics: dict[str, float]
    curves: dict[str, list[float]] = field(default_factory=dict)
    exhibits: dict[str, Any] = field(default_factory=dict)
