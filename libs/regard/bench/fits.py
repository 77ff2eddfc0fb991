"""From measured costs to two numbers: how a cost grows with the length, and the length from which a mechanism pays off.

CAB's efficiency length (Zhang et al. 2023, figure 2): a parabola a n² + b n + c through the costs of softmax attention,
a line p n + q through those of the mechanism, both by least squares; the length where they cross, the larger one if
there are two.
"""

import math
from collections.abc import Mapping, Sequence

import torch

CAB_LENGTHS = (256, 512, 1024, 2048, 4096, 8192)
CAB_TIME_LENGTHS = CAB_LENGTHS[1:]  # of the mechanism's line through times; its line through memory has all six


def polynomial(lengths: Sequence[float], costs: Sequence[float], degree: int) -> list[float]:
    """Fit a polynomial by least squares.

    Args:
        lengths: Where.
        costs: What was measured there.
        degree: Its degree.

    Returns:
        Coefficients, the constant first.

    Raises:
        ValueError: Fewer lengths than coefficients.
    """
    if len(lengths) != len(costs) or len(set(lengths)) <= degree:
        raise ValueError(
            f"a polynomial of degree {degree} needs {degree + 1} lengths, got {len(set(lengths))} and {len(costs)} costs"
        )
    unit = max(lengths)  # powers of numbers up to 1, so that the squares of large lengths do not drown the constant
    powers = torch.tensor([[(n / unit) ** power for power in range(degree + 1)] for n in lengths], dtype=torch.float64)
    target = torch.tensor(costs, dtype=torch.float64)[:, None]
    coefficients = torch.linalg.lstsq(powers, target).solution[:, 0].tolist()
    return [float(value) / unit**power for power, value in enumerate(coefficients)]


def efficiency_length(
    softmax: Mapping[int, float], mechanism: Mapping[int, float], *, line_lengths: Sequence[int] = CAB_TIME_LENGTHS
) -> float | None:
    """CAB's efficiency length, from costs by length (Zhang et al. 2023, figure 2).

    Args:
        softmax: Costs of softmax attention; those of `CAB_LENGTHS` are used.
        mechanism: Costs of the mechanism; those of `line_lengths` are used.
        line_lengths: Lengths of the line. Default: `CAB_TIME_LENGTHS`.

    Returns:
        The length, or None if a length is missing, the parabola does not open upwards, or the two do not cross at a
        positive length.
    """
    if not all(n in softmax for n in CAB_LENGTHS) or not all(n in mechanism for n in line_lengths):
        return None
    c, b, a = polynomial(CAB_LENGTHS, [softmax[n] for n in CAB_LENGTHS], 2)
    q, p = polynomial(line_lengths, [mechanism[n] for n in line_lengths], 1)
    under = (b - p) ** 2 - 4 * a * (c - q)
    if a <= 0 or under < 0:
        return None
    root = (p - b + math.sqrt(under)) / (2 * a)
    return root if root > 0 else None


def crossing(speeds: Mapping[int, float]) -> float | None:
    """The length from which a mechanism stays faster.

    It is interpolated between the last length below 1 and the next by a power of n.

    Args:
        speeds: Speed relative to softmax attention, by length.

    Returns:
        The length; the shortest one if all are above 1 (the crossing is there or before), None if the longest is below
        1.
    """
    known = sorted(speeds.items())
    slower = [index for index, (_, speed) in enumerate(known) if speed < 1]
    if not known or (slower and slower[-1] == len(known) - 1):
        return None
    if not slower:
        return float(known[0][0])
    (n, below), (following, above) = known[slower[-1]], known[slower[-1] + 1]
    part = math.log(1 / below) / math.log(above / below)
    return float(n * (following / n) ** part)


def exponent(costs: Mapping[int, float]) -> float:
    """x of cost ~ n^x, the slope of log cost over log length by least squares.

    Args:
        costs: Costs by length.

    Returns:
        The exponent.

    Raises:
        ValueError: Fewer than two lengths.
    """
    return polynomial([math.log(n) for n in costs], [math.log(cost) for cost in costs.values()], 1)[1]
