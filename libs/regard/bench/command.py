"""`python -m regard bench`: time and peak memory of mechanisms against fused softmax attention.

Results are written to `benchmarks/results`.

    python -m regard bench                                       every mechanism, self attention, noncausal and causal
    python -m regard bench smyrf --lengths 1024,4096 --memory    one of them, with its peaks of memory
    python -m regard bench my_attention.py:MyAttention           a class of your own
    python -m regard bench local --peer benchmarks/straightforward_local.py:straightforward_local

A mechanism is certified first; one that fails gets no numbers. A file `straightforward_<mechanism>.py` in `benchmarks/`
is measured together with its mechanism. Exit status: 0 everything is measured, 1 something requested is not certified,
2 the request cannot be met.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from regard.bench import run, table, targets
from regard.bench.cases import DTYPES, LIBRARY, Case, find_class_once, kinds_of, load_function, parsed_options
from regard.bench.fits import crossing
from regard.bench.table import Row
from regard.certification import certify
from regard.common.patterns import ALL_PATTERNS, Pattern
from regard.loading import BadRequest
from regard.registry import list_mechanisms

LENGTHS = tuple(2**power for power in range(7, 17))  # 128 … 65,536
QUICK_LENGTHS, QUICK_SECONDS = (128, 256, 512), 1.0
PEERS = Path("benchmarks")
DEFAULT_PATTERNS: tuple[Pattern, ...] = ("noncausal_self", "causal_self")


def add_to(commands: Any) -> None:
    """The subcommand `bench` of `python -m regard`."""
    bench = commands.add_parser(
        "bench",
        help="time and memory against fused softmax attention",
        description=(__doc__ or "").replace("%", "%%"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bench.add_argument(
        "names", nargs="*", metavar="NAME", help="mechanisms, module:Class or path/to/file.py:Class; default: all"
    )
    bench.add_argument(
        "--pattern", action="append", metavar="P", help=f"repeatable, by default {' and '.join(DEFAULT_PATTERNS)}"
    )
    bench.add_argument(
        "--lengths", type=lengths_of, metavar="N,N,…", help=f"default: {LENGTHS[0]},{LENGTHS[1]},…,{LENGTHS[-1]}"
    )
    bench.add_argument("--backward", action="store_true", help="forward + backward in place of forward")
    bench.add_argument("--memory", action="store_true", help="peak memory too, each case in a fresh process")
    bench.add_argument("--threads", type=int, help="threads of torch; default: as many as there are cores")
    bench.add_argument(
        "--seconds", type=float, help="what a case may take at one length; longer ones are left out (default: 10)"
    )
    bench.add_argument("--dtype", default="float32", choices=DTYPES)
    bench.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 …")
    bench.add_argument("--batch", type=int, default=1)
    bench.add_argument("--heads", type=int, default=8)
    bench.add_argument("--head-width", type=int, default=64)
    bench.add_argument(
        "--option", action="append", metavar="KEY=VALUE", help="an option of the one mechanism named, repeatable"
    )
    bench.add_argument(
        "--peer", action="append", default=[], metavar="FILE:FUNCTION", help="another form of the one mechanism named"
    )
    bench.add_argument(
        "--growth", action="store_true", help="add to rows that are there: each length timed in turns with its half"
    )
    bench.add_argument("--folder", type=Path, default=table.FOLDER, help=f"where results go (default: {table.FOLDER})")
    bench.add_argument("--quick", action="store_true", help="short lengths, to see that it works; writes nothing")
    bench.set_defaults(run=bench_mechanisms)


def lengths_of(text: str) -> list[int]:
    """ "128,4096" -> [128, 4096]."""
    try:
        lengths = sorted({int(word) for word in text.split(",")})
    except ValueError:
        raise argparse.ArgumentTypeError(f"lengths are numbers separated by commas, got {text!r}") from None
    if lengths[0] < 1:
        raise argparse.ArgumentTypeError(f"a length is at least 1, got {lengths[0]}")
    return lengths


def bench_mechanisms(options: argparse.Namespace) -> int:
    """Certify, measure, write after each length, and print the results."""
    names, patterns = checked(options)
    threads = options.threads or os.cpu_count() or 1
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    environment = table.environment(threads, options.device)
    rows: list[Row] = []
    refused: list[str] = []
    try:
        for pattern in patterns:
            good = [name for name in names if pattern in find_class_once(name).patterns]
            bad = [name for name in good if refusal(name, pattern, options.option or [])]
            refused += [f"{name} in {pattern}" for name in bad]
            kinds = kinds_to_measure([name for name in good if name not in bad], pattern, options)
            if len(kinds) > 1:
                rows += measured(kinds, environment, options)
    finally:
        torch.set_num_threads(before)
    report(rows)
    return 1 if refused else 0


def checked(options: argparse.Namespace) -> tuple[list[str], list[Pattern]]:
    """The mechanisms and patterns that are asked for. Raises BadRequest or ValueError for what cannot be."""
    names = options.names or list_mechanisms()
    if (options.option or options.peer) and len(options.names) != 1:
        raise BadRequest("--option and --peer belong to one mechanism: name it")
    if unknown := set(options.pattern or ()) - set(ALL_PATTERNS):
        raise BadRequest(f"there is no pattern {min(unknown)!r}; there are {', '.join(ALL_PATTERNS)}")
    patterns = [pattern for pattern in ALL_PATTERNS if pattern in (options.pattern or DEFAULT_PATTERNS)]
    for name in options.names:
        cls = find_class_once(name)
        if options.pattern and (missing := [p for p in patterns if p not in cls.patterns]):
            raise BadRequest(f"{name} does not have the pattern {missing[0]!r}; it has {', '.join(cls.patterns)}")
    for what in ("batch", "heads", "head_width", "threads"):
        if (value := getattr(options, what)) is not None and value < 1:
            raise BadRequest(f"--{what.replace('_', '-')} must be at least 1, got {value}")
    for peer in options.peer:
        load_function(peer)
    return names, patterns


def refusal(name: str, pattern: Pattern, options: Sequence[str]) -> bool:
    """Certify a mechanism in a pattern; say so if it fails.

    Options that are words choose another definition, which must be certified itself.
    """
    progress(f"certifying {name}, {pattern}")
    words = {key: value for key, value in parsed_options(" ".join(options)).items() if isinstance(value, (str, bool))}
    failures = [each for each in certify(find_class_once(name), [pattern], options=words) if not each.passed]
    progress("")
    if failures:
        first = f"{failures[0].property}: {failures[0].detail}"
        print(f"{name}, {pattern}: not certified, so not measured ({len(failures)} failed; {first})", file=sys.stderr)
    return bool(failures)


def kinds_to_measure(names: Sequence[str], pattern: Pattern, options: argparse.Namespace) -> list[Case]:
    """The baselines first, then every mechanism in its settings and forms."""
    base = Case(
        "softmax",
        LIBRARY,
        "mix",
        pattern,
        backward=options.backward,
        dtype=options.dtype,
        device=options.device,
        batch=options.batch,
        heads=options.heads,
        head_width=options.head_width,
    )
    kinds = [
        kind
        for name in names
        for kind in kinds_of(name, base, options=options.option, peers=peers_of(name, options.peer))
    ]
    return list(dict.fromkeys([*(kind.baseline for kind in kinds), *kinds]))


def peers_of(name: str, named: Sequence[str]) -> list[str]:
    """The peers named on the command line, and the straightforward form in `benchmarks/`, if it is there."""
    own = PEERS / f"straightforward_{name}.py"
    return [*([f"{own.as_posix()}:{own.stem}"] if own.is_file() else []), *named]


def measured(kinds: Sequence[Case], environment: table.Environment, options: argparse.Namespace) -> list[Row]:
    """All rows of these kinds; unless quick, written after each length, so that an interruption loses one."""
    lengths = options.lengths or (QUICK_LENGTHS if options.quick else LENGTHS)
    limits: dict[str, Any] = {
        "environment": environment,
        "seconds": options.seconds or (QUICK_SECONDS if options.quick else 10.0),
    }
    if options.growth:
        return grown(kinds, environment, options)
    rows: list[Row] = []

    def keep(new: Sequence[Row]) -> None:
        rows.extend(new)
        if not options.quick:
            table.write(options.folder, new)

    for new in run.measure(kinds, lengths, say=progress, **limits):
        keep(list(run.with_memory(new, say=progress)) if options.memory else new)
    if not options.quick:
        fast = [row for row in rows if row.case.form == LIBRARY]
        for row in run.bisect(fast, say=progress, **limits):
            keep([row])
    progress("")
    return rows


def grown(kinds: Sequence[Case], environment: table.Environment, options: argparse.Namespace) -> list[Row]:
    """Measure how the time of these kinds grows from half the length, and write it into their existing rows."""
    there = [row for row in table.read_all(options.folder) if row.case.kind in kinds and row.environment == environment]
    longer = list(run.with_doubling([row for row in there if row.case.form == LIBRARY], say=progress))
    table.write(options.folder, longer)
    progress("")
    return longer


def progress(text: str) -> None:
    """Print one line on the terminal, which the next one replaces; nothing if there is no terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text[:160]}", end="", file=sys.stderr, flush=True)


def report(rows: Sequence[Row]) -> None:
    """Print one line per kind, then the targets.

    A line has the kind's speed relative to fused softmax attention at every length, and the length from which it is
    faster.
    """
    kinds = dict.fromkeys(row.case.kind for row in rows)
    for kind in kinds:
        own = {row.case.n: row for row in rows if row.case.kind == kind}
        cells = [
            f"{n}: {1e3 * row.time_s:.3g} ms"
            + (f" {row.speed:.2f}×" if row.speed else "")
            + (f" {row.peak_mib:.0f} MiB" if row.peak_mib is not None else "")
            for n, row in sorted(own.items())
            if row.time_s is not None
        ]
        if left_out := sorted(n for n, row in own.items() if row.skipped):
            cells.append(f"n ≥ {left_out[0]:,}: {own[left_out[0]].skipped}")
        pays = crossing({n: row.speed for n, row in own.items() if row.speed is not None})
        ending = f"; faster from n = {pays:,.0f}" if pays is not None and kind != kind.baseline else ""
        print(f"{kind}, {kind.pattern}: {', '.join(cells) or 'nothing'}{ending}")
    for check in targets.checks(rows):
        if check.holds is not None:
            verdict = "holds" if check.holds else "missed"
            print(f"{verdict}: {check.about}: {check.measured:.2f} {check.unit} ({check.bound}; {check.where})")
