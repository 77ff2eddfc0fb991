"""One thread and two, alone and beside a busy process: what sharing the work out costs when a core is taken.

    python benchmarks/threads.py                 4,096 tokens; writes benchmarks/results/threads-*
    python benchmarks/threads.py --length 256    to see that it works; writes with --folder only

The load is stated: none, then one process that this one starts, which computes without end and is ended when it has
been measured beside. A region of parallel work ends when its last thread does; beside a busy process that thread may
have to wait for its turn, once per region. Forward, float32, 8 heads of width 64, batch 1; all are called in turns.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import regard
from regard.bench import table

LENGTH, TURNS = 4096, 15


def calls(n: int) -> dict[str, Callable[[], Tensor]]:
    """What is measured, on the same q, k and v."""
    q, k, v = (torch.randn(1, 8, n, 64, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2, 3))
    directions = torch.randn(66, 2, generator=torch.Generator().manual_seed(4))
    W = torch.randn(64, 64, generator=torch.Generator().manual_seed(5))
    functions = regard.functional
    return {
        "smyrf, 2 × 32": functools.partial(functions.smyrf, q, k, v, rounds=2, cluster_size=32, directions=directions),
        "local, window 15": functools.partial(functions.local, q, k, v, window=15),
        "performer, 64 features": functools.partial(functions.performer, q, k, v, projection=W),
        "fused dense": functools.partial(F.scaled_dot_product_attention, q, k, v),
    }


@contextlib.contextmanager
def busy(processes: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many processes that compute without end, ended at the end."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(processes):
            started.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
        time.sleep(0.5 if started else 0.0)
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


@torch.no_grad()
def measure(n: int, turns: int) -> list[dict[str, object]]:
    """One line per function, number of busy processes and number of threads."""
    lines: list[dict[str, object]] = []
    for processes in (0, 1):
        with busy(processes):
            times: dict[tuple[str, int], list[float]] = {}
            for turn in range(turns + 1):
                for threads in (1, 2):
                    torch.set_num_threads(threads)
                    for name, call in calls(n).items():
                        start = time.perf_counter()
                        call()
                        if turn:  # the first is the warm-up
                            times.setdefault((name, threads), []).append(time.perf_counter() - start)
            load = os.getloadavg()[0]
        for (name, threads), own in times.items():
            found = {"least_s": min(own), "median_s": statistics.median(own)}
            lines.append({"name": name, "busy": processes, "threads": threads, "n": n, **found, "load_average": load})
            print(
                f"{name}, {processes} busy, {threads} threads: {1e3 * min(own):.1f} ms, median {1e3 * found['median_s']:.1f}"
            )
    return lines


def page(result: dict[str, object], lines: list[dict[str, object]]) -> str:
    """The result as a table."""
    out = [
        "# Threads beside a busy process",
        "",
        f"Written by `python benchmarks/threads.py` on {result['date']} UTC, torch {result['torch']}, {result['processor']}, "
        f"{result['cores']} cores, forward, float32, 8 heads of width 64, batch 1. ms: least, median of {result['turns']} turns.",
        "",
        "| | n | busy processes of ours | load average | one thread | two threads | medians, two to one |",
        "|---|---|---|---|---|---|---|",
    ]
    by_row: dict[tuple[object, ...], list[dict[str, object]]] = {}
    for line in lines:
        by_row.setdefault((line["name"], line["n"], line["busy"]), []).append(line)
    for (name, n, processes), pair in by_row.items():
        one, two = sorted(pair, key=lambda line: str(line["threads"]))
        cells = [f"{1e3 * float(str(x['least_s'])):.1f}, {1e3 * float(str(x['median_s'])):.1f}" for x in (one, two)]
        ratio = float(str(two["median_s"])) / float(str(one["median_s"]))
        load = float(str(one["load_average"]))
        out.append(f"| {name} | {n} | {processes} | {load:.1f} | {cells[0]} | {cells[1]} | {ratio:.2f} |")
    return "\n".join(out) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=LENGTH)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument(
        "--folder", type=Path, help="where results go; default: benchmarks/results at the default length"
    )
    options = parser.parse_args()
    if options.turns < 1:
        parser.error(f"--turns is at least 1, got {options.turns}")
    date, environment = table.now(), table.environment(2)
    lines = measure(options.length, options.turns)
    folder = options.folder or (table.FOLDER if options.length == LENGTH else None)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        result = {"date": date, "turns": options.turns, **dataclasses.asdict(environment)}
        path = folder / f"threads-float32-{environment.slug}"
        path.with_name(path.name + ".json").write_text(
            json.dumps({**result, "lines": lines}, indent=1, ensure_ascii=False) + "\n"
        )
        path.with_name(path.name + ".md").write_text(page(result, lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
