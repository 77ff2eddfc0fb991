"""Coarse units of work for several threads: one unit per thread, and a single wait at the end.

Every operation of torch that uses more than one thread waits for the slowest of them. On an otherwise idle machine this
costs microseconds. Beside another busy process, however, each wait lasts until the system schedules the thread, and a
call of a hundred small operations takes many times as long on two threads as on one. So the heads are divided among the
threads instead, and each thread does all of the operations for its own heads.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from regard.common.autocast import without_autocast

WORTH_SHARING = 2**19  # numbers that the units hold together, below which handing them out costs more than it saves
_workers: list[ThreadPoolExecutor] = []
_lock = threading.Lock()


def holds_numbers(*tensors: Tensor) -> bool:
    """Are these plain tensors on CPU whose values can be read now?

    False on other devices, where reading means waiting; under `torch.compile`, export and tracing; under the transforms
    of `torch.func` and forward-mode differentiation; and for subclasses.
    """
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return False
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return False
    return all(type(x) in (Tensor, Parameter) and x.device.type == "cpu" for x in tensors)


def share_out(units: int, work: Callable[[slice], None], *inputs: Tensor) -> None:
    """Do `work` on all units, on CPU a contiguous share for each of torch's threads.

    It runs without gradients and without autocast. Shares must not write into the same memory.

    Args:
        units: How many there are, as batch rows times heads.
        work: Does the units of a slice.
        inputs: What it reads. If that is little, or not on CPU, the calling thread does all units at once.
    """
    device = inputs[0].device.type
    threads = 1 if torch.compiler.is_compiling() or device != "cpu" else min(torch.get_num_threads(), units)
    if threads <= 1 or sum(x.numel() for x in inputs) < WORTH_SHARING or _is_watched():
        with torch.no_grad(), without_autocast(device):
            work(slice(0, units))
        return
    inference = torch.is_inference_mode_enabled()

    def share(number: int) -> None:
        with torch.inference_mode(inference), torch.no_grad():  # both belong to a thread
            work(slice(units * number // threads, units * (number + 1) // threads))

    futures = [_pool(torch.get_num_threads()).submit(share, number) for number in range(threads)]
    wait(futures)
    for future in futures:
        future.result()


def _is_watched() -> bool:
    """Does a mode see every operation of this thread? It would not see those of others."""
    return torch._C._len_torch_dispatch_stack() > 0


def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that each run torch's operations alone; kept from call to call."""
    with _lock:
        if not _workers or _workers[0]._max_workers != threads:
            if _workers:
                _workers.pop().shutdown(wait=False)
            pool = ThreadPoolExecutor(threads, thread_name_prefix="regard")
            started = threading.Barrier(threads + 1)

            def begin() -> None:
                torch.get_num_threads()  # the first query adopts the process's setting, and would do so later otherwise
                torch.set_num_threads(1)  # of operations that this thread starts
                started.wait()

            for _ in range(threads):
                pool.submit(begin)
            started.wait()
            torch.set_num_threads(threads)  # the default for threads that torch has not seen yet
            _workers.append(pool)
        return _workers[0]


def _forget() -> None:
    """A forked process inherits the list of threads but none of the threads themselves."""
    global _lock
    _lock = threading.Lock()
    _workers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
