"""What one layer costs at growing lengths, against softmax attention, and from which length on it pays.

As in CAB (a whole layer, noncausal self attention, forward), with what its script leaves out: a warm-up, calls timed in turns, a wait for the GPU,
and a peak of memory that is counted in an isolated process. Softmax attention has two forms: unfused, with its n × n matrix, which is CAB's vanilla,
and fused, which is what is used today.
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

LONGEST = 1_000_000  # stands for a crossing beyond it, and for none
THREADS = 1


def measure(config: Config, folder: Path) -> RunResult:
    """Lengths from which the mechanism costs less (by fits), and its cost at the longest length over that of both forms of softmax attention."""
    assert config.efficiency is not None
    cases = {
        "own": layer_case(config.attention.name, LIBRARY, config.efficiency),
        "unfused": layer_case("softmax", PLAIN, config.efficiency),
        "fused": layer_case("softmax", LIBRARY, config.efficiency),
    }
    times: dict[str, dict[int, float]] = {name: {} for name in cases}
    peaks: dict[str, dict[int, float]] = {name: {} for name in cases}
    for n in config.efficiency.lengths:
        at_length = {name: replace(case, n=n) for name, case in cases.items()}
        for name, time_s in timed(at_length, config.efficiency.repeats).items():
            times[name][n] = 1e3 * time_s
        for name, case in at_length.items():
            peaks[name][n] = peak_mib(case)
    longest = max(config.efficiency.lengths)
    own, unfused, fused = (times[name][longest] for name in ("own", "unfused", "fused"))
    peak = {name: max(by_length[longest], 0.01) for name, by_length in peaks.items()}
    return RunResult(
        {
            "time_length": crossing(times["unfused"], without_first(times["own"])),
            "time_length_fused": crossing(times["fused"], without_first(times["own"])),
            "memory_length": crossing(peaks["unfused"], peaks["own"]),
            "speed": unfused / own,
            "speed_fused": fused / own,
            "memory_ratio": peak["own"] / peak["unfused"],
            "memory_ratio_fused": peak["own"] / peak["fused"],
        },
        exhibits={"lengths": config.efficiency.lengths, "time_ms": rounded(times), "peak_mib": rounded(peaks)},
    )


def layer_case(mechanism: str, form: str, sizes: Efficiency) -> Case:
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
    calls = {name: prepare(case, inputs) for name, case in cases.items()}
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(elapsed_s(call))
    return {name: statistics.median(own) for name, own in times.items()}


@functools.cache
def peak_mib(case: Case) -> float:
    """The most memory, in MiB, that a call holds beyond inputs and parameters, in an isolated process; measured once per case.

    Raises:
        RuntimeError: The isolated process failed, with what it said.
    """
    measured = memory.in_a_fresh_process(case, THREADS)
    if isinstance(measured, str):
        raise RuntimeError(f"memory of {case} at {case.n} tokens: {measured}")
    return measured.extra_mib


def crossing(softmax: Mapping[int, float], mechanism: Mapping[int, float]) -> float:
    """CAB's efficiency length at any lengths: where a line through the mechanism's costs crosses a parabola through softmax attention's.

    Args:
        softmax: Softmax attention's cost by length.
        mechanism: The mechanism's.

    Returns:
        The larger root in tokens; 0 where the line lies below the parabola from the first token on, `LONGEST` where it never does.
    """
    c, b, a = polynomial(list(softmax), list(softmax.values()), 2)
    q, p = polynomial(list(mechanism), list(mechanism.values()), 1)
    under = (b - p) ** 2 - 4 * a * (c - q)
    if a <= 0:
        return float(LONGEST)
    if under < 0:
        return 0.0
    return min(max((p - b + math.sqrt(under)) / (2 * a), 0.0), float(LONGEST))


def without_first(costs: Mapping[int, float]) -> dict[int, float]:
    """All but the shortest length, as CAB fits its lines through times."""
    return {n: cost for n, cost in costs.items() if n != min(costs)}


def rounded(costs: Mapping[str, Mapping[int, float]]) -> dict[str, list[float]]:
    """Costs by name as lists, for a figure."""
    return {name: [round(cost, 4) for cost in by_length.values()] for name, by_length in costs.items()}
