"""The peak of memory that a case takes, measured in a fresh process.

Nothing that ran before it has left memory that could be reused.
"""

import contextlib
import ctypes
import multiprocessing
import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import NamedTuple

import torch

from regard.bench.cases import Case, Inputs, prepare
from regard.bench.timing import synchronize

WARM_UP = 512  # tokens of a first run, which loads kernels and starts threads
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Peak(NamedTuple):
    """A peak of memory.

    `extra_mib`: the most memory held during the call beyond what was held before it, the output included, inputs and
    parameters not. `resident_mib`: the most that the whole process held, Python and torch included.
    """

    extra_mib: float
    resident_mib: float


def peak_of(call: Callable[[], object]) -> Peak:
    """Run a call and measure its peak of memory: the GPU's, if one is in use, else this process's resident memory.

    Args:
        call: What to run.

    Returns:
        The peak.
    """
    if synchronize():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        synchronize()
        peak = torch.cuda.max_memory_allocated()
        return Peak((peak - before) / 2**20, peak / 2**20)
    start = forget_peak()
    call()
    peak_mib = resident_mib("VmHWM")
    return Peak(max(peak_mib - start, 0.0), peak_mib)


def forget_peak() -> float:
    """Reset the peak, where the system allows it; the MiB held now, or the peak so far."""
    give_back()
    try:
        _CLEAR.write_text("5")
    except OSError:
        return resident_mib("VmHWM")
    return resident_mib("VmRSS")


def give_back() -> None:
    """Return freed memory to the system, if the C library can.

    Otherwise memory left by a warm-up would be reused and not counted.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def resident_mib(which: str) -> float:
    """A line of this process's status in MiB.

    VmRSS is what is held, VmHWM the peak; on systems without such a file, the peak for both.
    """
    try:
        lines = _STATUS.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{which}:")) / 1024
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def available_mib() -> float:
    """Available memory of this machine in MiB; infinite where it is unknown."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) / 1024
    except (OSError, StopIteration):
        return float("inf")


def in_a_fresh_process(case: Case, threads: int, *, timeout_s: float = 600.0) -> Peak | str:
    """The peak of one call of a case, in a process of its own.

    Args:
        case: What to run.
        threads: Threads of torch.
        timeout_s: Seconds to wait. Default: 600.

    Returns:
        The peak, or the reason why there is none.
    """
    context = _processes()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(sender, case, threads), daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(timeout_s):
            return f"took more than {timeout_s:.0f} s"
        outcome: Peak | str = receiver.recv()
    except EOFError:
        process.join()
        code = process.exitcode or 0
        outcome = f"the process was ended by signal {-code}" if code < 0 else "the process ended early"
    finally:
        process.kill()
        process.join()
        receiver.close()
    return outcome


def _processes() -> ForkServerContext | SpawnContext:
    """A context that starts processes.

    Forks of a process that has imported torch and computed nothing, which start at once; where they do not exist,
    new processes.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["regard.bench.memory"])
    return context


def _measure(sender: Connection, case: Case, threads: int) -> None:
    try:
        torch.set_num_threads(threads)
        small = replace(case, n=min(case.n, WARM_UP))
        prepare(small, Inputs(small))()
        sender.send(peak_of(prepare(case, Inputs(case))))
    except Exception as error:
        sender.send(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
