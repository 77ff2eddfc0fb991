"""Where cells run. Four executors with one interface: `submit(function, *arguments)` returns something with `done()` and `result()`.

`inline` (this process), `processes` (this machine; one worker is this process), `slurm` (a cluster, by submitit) and
`ray` are all used the same way; none of this schedules.
"""

import concurrent.futures
import concurrent.futures.process
import itertools
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.util
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from regard_lab.common.errors import UserError, nearest

LONGEST_TMPDIR = 70


class Future(Protocol):
    """The part of a future that is used here; those of `concurrent.futures`, submitit and Ray all have it."""

    def done(self) -> bool: ...
    def result(self) -> Any: ...


class Executor(AbstractContextManager["Executor", None], Protocol):
    """The part of `concurrent.futures.Executor` that is used here."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future: ...


class Inline:
    """Runs a call when it is submitted."""

    def __enter__(self) -> "Inline":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


class ProcessEnded(Exception):
    """The process that ran a call has ended without an answer: it was killed, or it crashed."""


class Processes:
    """Processes that run cells, one thread each, forked from one that has imported torch and Lightning and not used them.

    Each process is a pool of its own, so a process that dies takes only its own call with it: that call raises
    `ProcessEnded`, and the next call gets a new process. If there are GPUs, each process sees exactly one of them.
    """

    def __init__(self, workers: int) -> None:
        import_early()
        self._gpus = itertools.cycle(gpus() or [None])
        self._threads = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="worker")
        self._of_thread = threading.local()
        self._pools: list[concurrent.futures.ProcessPoolExecutor] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._threads.shutdown(wait=True, cancel_futures=kind is not None)
        for pool in self._pools:
            pool.shutdown(wait=True)

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future:
        return self._threads.submit(self._call, function, *arguments)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a call in the process of this thread."""
        pool = getattr(self._of_thread, "pool", None)
        if not hasattr(self._of_thread, "gpu"):
            self._of_thread.gpu = next(self._gpus)
        if pool is None:
            pool = self._of_thread.pool = concurrent.futures.ProcessPoolExecutor(
                1,
                mp_context=multiprocessing.get_context("forkserver"),
                initializer=begin_worker,
                initargs=(self._of_thread.gpu,),
            )
            self._pools.append(pool)
        try:
            return pool.submit(function, *arguments).result()
        except concurrent.futures.process.BrokenProcessPool:
            self._of_thread.pool = None
            raise ProcessEnded(
                "the process that ran it has ended without an answer: killed (too little memory?) or crashed"
            ) from None


def gpus() -> list[str]:
    """The GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them; none on a machine without GPUs."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return (named or [str(number) for number in range(count)])[:count]


def check_devices(devices: int) -> None:
    """Refuse a cell that needs more GPUs than there are; if there are none, say so and use the CPU instead.

    Raises:
        UserError: There are GPUs, and too few.
    """
    there = len(gpus()) if devices > 1 else 0
    if 0 < there < devices:
        raise UserError(
            f"a cell trains on {devices} GPUs, and this machine has {there}: run it where there are {devices}, or set its devices"
        )
    if devices > 1 and not there:
        print(f"no GPU here: the {devices} devices of a cell are {devices} processes on the CPU", file=sys.stderr)


def begin_worker(gpu: str | None) -> None:
    """In a worker, before anything else: show it only one GPU, if there are any, and make it end with its parent."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    end_with_parent()


def end_with_parent() -> None:
    """In a worker: end with the parent, or the worker would keep running a cell that a new run starts again."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def import_early(modules: Iterable[str] = ()) -> None:
    """Begin the imports of `Processes`, and those of what it will run, in the background. They take half of the time of
    a small table, and can overlap with its checks. Only the first call in a process has an effect.
    """
    # Counts GPUs without CUDA, which a process must not have begun to use before it forks.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    _short_socket_names()
    multiprocessing.set_forkserver_preload(["regard_lab.training.trainer", *dict.fromkeys(modules)])
    multiprocessing.forkserver.ensure_running()


def _short_socket_names() -> None:
    """Processes talk through sockets below the temporary folder, whose names may have 107 bytes, 32 of which
    multiprocessing uses.

    If TMPDIR is longer than that, these sockets, and nothing else, go to another folder.
    """
    before = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) <= LONGEST_TMPDIR:
        return
    for folder in ("/tmp", "/var/tmp", "/dev/shm"):
        if os.access(folder, os.W_OK):
            tempfile.tempdir = folder
            try:
                multiprocessing.util.get_temp_dir()  # remembers it for this process and its children
            finally:
                tempfile.tempdir = before
            return
    raise UserError(
        f"TMPDIR ({tempfile.gettempdir()}) is too long for the names of sockets: at most {LONGEST_TMPDIR} bytes"
    )


class Slurm:
    """One Slurm job per call, by submitit; `cluster="local"` runs the same path without Slurm. Options are submitit's (`slurm_partition=` …).

    A job asks for `devices` GPUs, unless an option `gpus_per_node` says how many.
    """

    def __init__(self, folder: Path, cluster: str | None = None, devices: int = 0, **options: Any) -> None:
        submitit = _extra("submitit", "slurm")
        self._executor = submitit.AutoExecutor(folder=str(folder), cluster=cluster)
        self._executor.update_parameters(**{**({"gpus_per_node": devices} if devices else {}), **options})

    def __enter__(self) -> "Slurm":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future:
        return self._executor.submit(function, *arguments)  # type: ignore[no-any-return]


class Ray:
    """One Ray task per call, on the cluster at `address` or on a local Ray with `workers` cores.

    If there are GPUs, a call gets `devices` of them, or a part of one if local workers outnumber them.
    """

    def __init__(self, workers: int, address: str | None = None, devices: int = 1) -> None:
        self._ray = _extra("ray", "ray")
        self._mine = not self._ray.is_initialized()
        if self._mine:
            cores = {} if address else {"num_cpus": workers}
            self._ray.init(address=address, include_dashboard=False, log_to_driver=False, **cores)
        there = float(self._ray.cluster_resources().get("GPU", 0))
        share = max(1, devices) if address or devices > 1 else min(1.0, there / workers)
        self._needs = {"num_gpus": share} if there else {}

    def __enter__(self) -> "Ray":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mine:
            self._ray.shutdown()

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future:
        call = self._ray.remote(_call)
        if self._needs:
            call = call.options(**self._needs)
        return call.remote(function, *arguments).future()  # type: ignore[no-any-return]


EXECUTORS = ("inline", "processes", "slurm", "ray")


def executor(
    name: str, *, workers: int | None = None, folder: Path = Path("runs/slurm"), devices: int = 1, **options: Any
) -> Executor:
    """The executor with that name.

    Args:
        name: One of `EXECUTORS`.
        workers: How many calls run at once. Default: one per GPU, or per core where there is no GPU.
        folder: Where Slurm's logs go.
        devices: How many GPUs a call uses, if there are any. A Slurm job asks for none if this is 0.
        options: Passed to submitit or Ray.

    Raises:
        UserError: An unknown name, with the nearest; fewer than one worker; or a package that is not installed.
    """
    if workers is not None and workers < 1:
        raise UserError(f"workers must be at least 1, got {workers}")
    there = len(gpus()) if name in ("processes", "ray") else 0
    workers = workers or there or os.cpu_count() or 1
    if workers > there > 0:
        print(
            f"warning: {workers} workers share {there} GPU{'s' if there > 1 else ''}: times and memory are not those of a cell alone",
            file=sys.stderr,
        )
    if name == "inline" or (name == "processes" and workers == 1):
        return Inline()
    if name == "processes":
        return Processes(workers)
    if name == "slurm":
        return Slurm(folder, devices=devices, **options)
    if name == "ray":
        return Ray(workers, devices=devices, **options)
    raise UserError(f"there is no executor {name!r}.{nearest(name, EXECUTORS)} There are: {', '.join(EXECUTORS)}")


def as_finished(futures: Iterable[Future], *, every_s: float = 0.1) -> Iterator[Future]:
    """The futures in the order in which they finish. It polls, because all four kinds can be polled."""
    waiting = list(futures)
    while waiting:
        ready = [future for future in waiting if future.done()]
        waiting = [future for future in waiting if future not in ready]
        yield from ready
        if waiting and not ready:
            time.sleep(every_s)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Ray makes tasks only from Python functions; this one calls anything that can be pickled."""
    return function(*arguments)


def _extra(module: str, extra: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        raise UserError(f"the executor needs the package {module}: pip install 'regard[{extra}]'") from None
