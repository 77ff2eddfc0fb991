"""What one layer costs at growing lengths, against softmax attention, and from which length on it pays.

As in CAB (a whole layer, noncausal self attention, forward), with what its script leaves out: a warm-up, calls timed in
turns, a wait for the GPU, and a peak of memory that is counted in an isolated process. Softmax attention has two forms:
unfused, with its n × n matrix, which is CAB's vanilla, and fused, which is what is used today.
"""

import functools
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from projects.cab.config import Config, Efficiency
from regard.bench import memory
from regard.bench.cases import LIBRARY, PLAIN, Case, Inputs, prepare
from regard.bench.fits import crossing
from regard.bench.timing import elapsed_s
from regard_lab.experiment.run_result import RunResult

LONGEST = 1_000_000  # stands for none up to the longest measured length
LEAST_MIB = 0.01  # what the count of memory can tell apart
THREADS = 1


def measure(config: Config, folder: Path) -> RunResult:
    """Lengths from which the mechanism costs less, of a forward pass and of a step of training, and its cost at the longest length."""
    sizes = config.efficiency
    assert sizes is not None
    cases = {
        "own": layer_case(config.attention.name, LIBRARY, sizes),
        "unfused": layer_case("softmax", PLAIN, sizes),
        "fused": layer_case("softmax", LIBRARY, sizes),
    }
    steps = {f"{name}_training": replace(case, backward=True) for name, case in cases.items()}
    times: dict[str, dict[int, float]] = {name: {} for name in (*cases, *steps)}
    peaks: dict[str, dict[int, float]] = {name: {} for name in cases}
    for n in sizes.lengths:
        for kind in (cases, steps):
            at_length = {name: replace(case, n=n) for name, case in kind.items()}
            for name, time_s in timed(at_length, sizes.repeats).items():
                times[name][n] = 1e3 * time_s
        for name, case in cases.items():
            peaks[name][n] = max(peak_mib(replace(case, n=n)), LEAST_MIB)
    longest = max(sizes.lengths)
    own, unfused, fused = (times[name][longest] for name in ("own", "unfused", "fused"))
    peak = {name: by_length[longest] for name, by_length in peaks.items()}
    return RunResult(
        {
            "time_length": pays_from(times["unfused"], times["own"]),
            "time_length_fused": pays_from(times["fused"], times["own"]),
            "training_length": pays_from(times["unfused_training"], times["own_training"]),
            "training_length_fused": pays_from(times["fused_training"], times["own_training"]),
            "memory_length": pays_from(peaks["unfused"], peaks["own"]),
            "speed": unfused / own,
            "speed_fused": fused / own,
            "memory_ratio": peak["own"] / peak["unfused"],
            "memory_ratio_fused": peak["own"] / peak["fused"],
        },
        exhibits={"lengths": sizes.lengths, "time_ms": rounded(times), "peak_mib": rounded(peaks)},
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


def pays_from(softmax: Mapping[int, float], mechanism: Mapping[int, float]) -> float:
    """The length from which the mechanism stays below softmax attention, interpolated between measured lengths (`regard.bench.fits.crossing`).

    CAB's own efficiency length is where two fits cross; that lies below every measured length for the cheap ones, and
    moves by hundreds of tokens with the noise of the longest.

    Args:
        softmax: Softmax attention's cost by length.
        mechanism: The mechanism's, at the same lengths.

    Returns:
        The length in tokens: the shortest measured one where the mechanism is below from there on (it may be so
        before), `LONGEST` where it is not below at the longest.
    """
    found = crossing({n: cost / mechanism[n] for n, cost in softmax.items()})
    return float(LONGEST) if found is None else found


def rounded(costs: Mapping[str, Mapping[int, float]]) -> dict[str, list[float]]:
    """Costs by name as lists, for a figure."""
    return {name: [round(cost, 4) for cost in by_length.values()] for name, by_length in costs.items()}
