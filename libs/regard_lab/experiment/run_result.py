"""The return value of a cell's work: the one interface on which projects and the cell runner must agree."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RunResult:
    """What a `run` function returns.

    Attributes:
        metrics: One value per metric.
        curves: One value per epoch for each quantity tracked during training.
        exhibits: What a figure shows besides metrics, as plain JSON values: pictures and sounds (PNG and WAV as
            base64, `regard_lab.common.images` and `sounds`), tokens, maps. They are part of the cell's record and so of the result, which is
            in Git: keep them small.
    """

    metrics: dict[str, float]
    curves: dict[str, list[float]] = field(default_factory=dict)
    exhibits: dict[str, Any] = field(default_factory=dict)
