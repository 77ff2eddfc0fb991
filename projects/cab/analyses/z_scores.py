"""z-scores, the parts of a compositional index: metrics of different kinds and units in one number, by frozen constants.

z(x) = ± (x − μ) / σ        minus where lower is better
index = mean of z over the metrics of a task
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HIGHER_IS_BETTER = frozenset({"rouge_1", "rouge_2", "rouge_l", "psnr", "ssim", "f_score"})


@dataclass(frozen=True)
class Constant:
    """μ and σ of a metric over a population of mechanisms."""

    mean: float
    sd: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Constant":
        """Mean and sample standard deviation (n − 1), as the paper's constants were taken."""
        return cls(statistics.fmean(values), statistics.stdev(values))


def z_score(metric: str, value: float, constant: Constant) -> float:
    """How many σ better than μ a value is.

    Raises:
        ZeroDivisionError: All values of the population are equal.
    """
    sign = 1 if metric in HIGHER_IS_BETTER else -1
    return sign * (value - constant.mean) / constant.sd


def mean_z(values: Mapping[str, float], constants: Mapping[str, Constant]) -> float:
    """The index of a task: the mean of the z-scores of its metrics.

    Raises:
        KeyError: A metric has no constants.
    """
    if missing := sorted(values.keys() - constants.keys()):
        raise KeyError(f"no constants for {', '.join(missing)}")
    return statistics.fmean(z_score(metric, value, constants[metric]) for metric, value in values.items())
