"""What one layer costs at growing lengths, against softmax attention, and from which length on it pays.

As CAB (a whole layer, noncausal self attention, forward) with what its script leaves out: a warm-up, calls timed in turns, a wait for the GPU, and a
peak of memory that is counted anew, in a fresh process. Softmax attention has two forms: unfused, with its n × n matrix, which is CAB's vanilla, and
fused, which is what anybody would use today.
"""

import functools
import math
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from projects.cab.config import Config, Efficiency
from regard.bench import memory
from regard.bench.cases import LIBRARY, PLAIN, Case, Inputs, prepare
from regard.bench.fits import polynomial
from regard.bench.timing import elapsed_s
from regard_lab.experiment.run_result import RunResult

MOST = 1_000_000  # a crossing beyond it, or none, is said to be here
THREADS = 1


def measure(config: Config, folder: Path) -> RunResult:
    """Lengths from which the mechanism costs less (by fits), and its cost at the longest length over that of both forms of softmax attention."""
    assert config.efficiency is not None
    cases = {
        "own": case(config.attention.name, LIBRARY, config.efficiency),
        "unfused": case("softmax", PLAIN, config.efficiency),
        "fused": case("softmax", LIBRARY, config.efficiency),
    }
    times = {name: {} for name in cases}
    peaks = {name: {} for name in cases}
    for n in config.efficiency.lengths:
        at = {name: replace(each, n=n) for name, each in cases.items()}
        for name, time_s in timed(at, config.efficiency.repeats).items():
            times[name][n] = 1e3 * time_s
        for name, each in at.items():
            peaks[name][n] = peak_mib(each)
    longest = max(config.efficiency.lengths)
    own, unfused, fused = (times[name][longest] for name in ("own", "unfused", "fused"))
    held = {name: max(peak[longest], 0.01) for name, peak in peaks.items()}
    return RunResult(
        {
            "time_length": crossing(times["unfused"], without_first(times["own"])),
            "time_length_fused": crossing(times["fused"], without_first(times["own"])),
            "memory_length": crossing(peaks["unfused"], peaks["own"]),
            "speed": unfused / own,
            "speed_fused": fused / own,
            "memory_ratio": held["own"] / held["unfused"],
            "memory_ratio_fused": held["own"] / held["fused"],
        },
        exhibits={"lengths": config.efficiency.lengths, "time_ms": plain(times), "peak_mib": plain(peaks)},
    )


def case(mechanism: str, form: str, sizes: Efficiency) -> Case:
    """A whole layer, forward only."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Case(
        mechanism,
        form,
        "layer",
        "noncausal_self",
        batch=sizes.batch,
        heads=sizes.heads,
        head_width=sizes.width // sizes.heads,
        device=device,
    )


def timed(cases: Mapping[str, Case], repeats: int) -> dict[str, float]:
    """The median seconds of each case's calls: a warm-up of all, then one call of each in turns."""
    inputs = Inputs(next(iter(cases.values())))
    calls = {name: prepare(each, inputs) for name, each in cases.items()}
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(elapsed_s(call))
    return {name: statistics.median(own) for name, own in times.items()}


@functools.cache
def peak_mib(what: Case) -> float:
    """The most memory that a call holds beyond inputs and parameters, in a fresh process; measured once a process for each case."""
    found = memory.in_a_fresh_process(what, THREADS)
    if isinstance(found, str):
        raise RuntimeError(f"memory of {what} at {what.n} tokens: {found}")
    return found.extra_mib


def crossing(softmax: Mapping[int, float], mechanism: Mapping[int, float]) -> float:
    """CAB's efficiency length at any lengths: where a line through the mechanism's costs crosses a parabola through softmax attention's.

    The larger root; 0 where the line lies below the parabola from the first token on, `MOST` where it never gets there.
    """
    c, b, a = polynomial(list(softmax), list(softmax.values()), 2)
    q, p = polynomial(list(mechanism), list(mechanism.values()), 1)
    under = (b - p) ** 2 - 4 * a * (c - q)
    if a <= 0:
        return float(MOST)
    if under < 0:
        return 0.0
    return min(max((p - b + math.sqrt(under)) / (2 * a), 0.0), float(MOST))


def without_first(costs: Mapping[int, float]) -> dict[int, float]:
    """All but the shortest length, as CAB fits its lines through times."""
    return {n: cost for n, cost in costs.items() if n != min(costs)}


def plain(costs: Mapping[str, Mapping[int, float]]) -> dict[str, list[float]]:
    """Costs by name as lists, for a figure."""
    return {name: [round(cost, 4) for cost in each.values()] for name, each in costs.items()}
