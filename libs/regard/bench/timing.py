"""Times of calls, in interleaved repeats: whatever slows the machine slows all of them, so ratios stay the same."""

import math
import statistics
import time
from collections.abc import Callable, Sequence

import torch

Call = Callable[[], object]
LEAST, MOST = 3, 25  # repeats
ENOUGH_S = 0.3  # what the repeats of one call may take together, once there are LEAST of them


def interleaved(calls: Sequence[Call], timed: Callable[[Call], float] | None = None) -> list[list[float]]:
    """Time calls in turns: one repeat of every call, then the next of every call, until each has enough of them.

    Args:
        calls: What to time.
        timed: How. Default: None, `elapsed_s`.

    Returns:
        Seconds, one list per call.
    """
    timed = timed or elapsed_s
    times: list[list[float]] = [[] for _ in calls]
    while waiting := [index for index, own in enumerate(times) if not enough(own)]:
        for index in waiting:
            times[index].append(timed(calls[index]))
    return times


def enough(times: Sequence[float]) -> bool:
    """At least LEAST repeats; then as many as `ENOUGH_S` seconds hold, and at most MOST."""
    return len(times) >= LEAST and (len(times) >= MOST or math.fsum(times) >= ENOUGH_S)


def elapsed_s(call: Call) -> float:
    """How long one call takes, in seconds of wall time, work on a GPU included."""
    synchronize()
    start = time.perf_counter()
    call()
    synchronize()
    return time.perf_counter() - start


def synchronize() -> bool:
    """Wait for the GPU, if this process uses one, and return whether it does."""
    used: bool = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    if used:
        torch.cuda.synchronize()
    return used


def median_and_spread(times: Sequence[float]) -> tuple[float, float]:
    """The median, and the distance between the quartiles."""
    low, middle, high = statistics.quantiles(times, n=4, method="inclusive")
    return middle, high - low


def predicted(points: Sequence[tuple[int, float]], n: int) -> float | None:
    """Predict a cost at another length.

    A power of n through the last two points, between linear and cubic; quadratic through a single one.

    Args:
        points: (length, value), in order of length.
        n: The length.

    Returns:
        The cost; None without points.
    """
    if not points:
        return None
    last, value = points[-1]
    power = 2.0
    if len(points) > 1:
        before, smaller = points[-2]
        power = min(max(math.log(value / smaller) / math.log(last / before), 1.0), 3.0)
    return float(value * (n / last) ** power)
