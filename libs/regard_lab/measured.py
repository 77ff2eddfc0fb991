"""What the work of a cell gives back; the one thing that projects and the cell runner must agree on."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Measured:
    """What a `run` function returns: one value a metric, and the values an epoch of what was followed over training."""

    metrics: dict[str, float]
    curves: dict[str, list[float]] = field(default_factory=dict)
