"""A function's value from a process in which nothing ran before: what is left in memory there is its own."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

MODULE = "projects.better_attention.inference"  # loaded once, in a process that computes nothing and is forked for every call


def in_a_fresh_process(function: Callable[..., float], *arguments: Any, timeout_s: float = 600.0) -> float:
    """`function(*arguments)`; its errors are passed on. Both must be picklable."""
    fork = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if fork else "spawn")
    if fork:
        context.set_forkserver_preload([MODULE])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result(timeout=timeout_s)
