"""Where cells run. Four executors, one interface: `submit(function, *arguments)` gives something with `done()` and `result()`.

`inline` (this process), `processes` (this machine; one worker is this process), `slurm` (a cluster, by submitit) and `ray` are all used the
same way; nothing here schedules.
"""

import concurrent.futures
import concurrent.futures.process
import multiprocessing
import multiprocessing.forkserver
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from regard_lab.common.errors import UserError, nearest


class Future(Protocol):
    """What this module needs of a future; those of `concurrent.futures`, submitit and Ray all have it."""

    def done(self) -> bool: ...
    def result(self) -> Any: ...


class Executor(AbstractContextManager["Executor", None], Protocol):
    """`concurrent.futures.Executor` in what it is used for here."""

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
    """Processes that run cells, one thread each, forked from one that has imported torch and Lightning and has done nothing with them.

    Each process is a pool of its own, so that one that dies takes its own call with it and no other: its call raises `ProcessEnded`,
    and the next one finds a new process.
    """

    def __init__(self, workers: int) -> None:
        import_early()
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
        if pool is None:
            pool = self._of_thread.pool = concurrent.futures.ProcessPoolExecutor(
                1, mp_context=multiprocessing.get_context("forkserver"), initializer=end_with_parent
            )
            self._pools.append(pool)
        try:
            return pool.submit(function, *arguments).result()
        except concurrent.futures.process.BrokenProcessPool:
            self._of_thread.pool = None
            raise ProcessEnded(
                "the process that ran it has ended without an answer: killed (too little memory?) or crashed"
            ) from None


def end_with_parent() -> None:
    """In a worker: end as soon as the process that asked for it has ended. It would go on with its cell, while a new run begins the same one."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def import_early(modules: Iterable[str] = ()) -> None:
    """Begin the imports of `Processes`, and those of what it will run, in the background: half of the time of a small table, which can be that of
    its checks. The first call in a process counts.
    """
    multiprocessing.set_forkserver_preload(["regard_lab.training.trainer", *dict.fromkeys(modules)])
    multiprocessing.forkserver.ensure_running()


class Slurm:
    """One Slurm job a call, by submitit; `cluster="local"` runs the same path without Slurm. Options are submitit's (`slurm_partition=` …)."""

    def __init__(self, folder: Path, cluster: str | None = None, **options: Any) -> None:
        submitit = _extra("submitit", "slurm")
        self._executor = submitit.AutoExecutor(folder=str(folder), cluster=cluster)
        self._executor.update_parameters(**options)

    def __enter__(self) -> "Slurm":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future:
        return self._executor.submit(function, *arguments)  # type: ignore[no-any-return]


class Ray:
    """One Ray task a call, on the cluster at `address` or on a local Ray with `workers` cores."""

    def __init__(self, workers: int, address: str | None = None) -> None:
        self._ray = _extra("ray", "ray")
        self._mine = not self._ray.is_initialized()
        if self._mine:
            cores = {} if address else {"num_cpus": workers}
            self._ray.init(address=address, include_dashboard=False, log_to_driver=False, **cores)

    def __enter__(self) -> "Ray":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mine:
            self._ray.shutdown()

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future:
        return self._ray.remote(_call).remote(function, *arguments).future()  # type: ignore[no-any-return]


EXECUTORS = ("inline", "processes", "slurm", "ray")


def executor(name: str, *, workers: int | None = None, folder: Path = Path("runs/slurm"), **options: Any) -> Executor:
    """The executor of that name. `workers` defaults to the number of cores; `options` go to submitit or Ray."""
    workers = workers or os.cpu_count() or 1
    if workers < 1:
        raise UserError(f"workers must be at least 1, got {workers}")
    if name == "inline" or (name == "processes" and workers == 1):
        return Inline()
    if name == "processes":
        return Processes(workers)
    if name == "slurm":
        return Slurm(folder, **options)
    if name == "ray":
        return Ray(workers, **options)
    raise UserError(f"there is no executor {name!r}.{nearest(name, EXECUTORS)} There are: {', '.join(EXECUTORS)}")


def as_finished(futures: Iterable[Future], *, every_s: float = 0.1) -> Iterator[Future]:
    """The futures in the order in which they finish. Polls, because that is what the four kinds have in common."""
    waiting = list(futures)
    while waiting:
        ready = [future for future in waiting if future.done()]
        waiting = [future for future in waiting if future not in ready]
        yield from ready
        if waiting and not ready:
            time.sleep(every_s)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Ray makes tasks of Python functions only; this one calls whatever can be pickled."""
    return function(*arguments)


def _extra(module: str, extra: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        raise UserError(f"the executor needs the package {module}: pip install 'regard[{extra}]'") from None
