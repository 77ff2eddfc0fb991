"""Regard against the packages that one would otherwise take: times and memory in one run, on one thread, in float32.

    python benchmarks/peers.py                              1,024, 4,096 and 16,384 tokens; writes benchmarks/results/peers-*
    python benchmarks/peers.py --lengths 1024 --seconds 0.2 to see that it works; writes with --folder only

The packages are installed from the package index into an environment of their own, `build/peers`, which shares torch
with the environment that runs this. First each of them is held to our reference, the plain definition: what does not
compute the same thing is not compared, and the table says how far off it is. Where a package differs by a choice that
it leaves open, it is given ours, or ours is given its, and the table says so. Then ours and theirs are called in turns,
forward, and forward with backward; the time of each is the least of its turns, so that whatever else the machine does
falls out, and ratios are of one run. 8 heads of width 64, layers of width 512, batch 1.
"""

import argparse
import dataclasses
import json
import math
import os
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import regard
from peer_pairs import HEADS, LANDMARKS, PAIRS, WIDTH, D, Pair
from regard.bench import table
from regard.bench.memory import peak_of

PACKAGES = (
    "local-attention==1.11.2",
    "performer-pytorch==1.1.4",
    "nystrom-attention==0.0.14",
    "linformer==0.2.3",
    "reformer-pytorch==1.4.4",
)
LENGTHS = (1024, 4096, 16384)
HELD_AT = 256  # tokens of the comparison with the reference
TOLERANCE = 1e-4  # of float32, relative to the largest number of the reference
LEAST, MOST = 5, 60  # turns
LONG_S = 20.0  # what the turns of a pair may take before there are fewer than LEAST


@dataclass
class Held:
    """How far ours and theirs are from the reference, relative to its largest number."""

    name: str
    package: str
    ours: float
    theirs: float
    same: bool
    differences: str


@dataclass
class Line:
    """Seconds of the fastest turn, those that it computed, and MiB that one call takes beyond its inputs."""

    name: str
    package: str
    n: int
    backward: bool
    ours_s: float
    theirs_s: float
    ours_cpu_s: float
    theirs_cpu_s: float
    turns: int
    ours_mib: float
    theirs_mib: float
    differences: str

    @property
    def ratio(self) -> float:
        """Times as fast as theirs."""
        return self.theirs_s / self.ours_s

    @property
    def cpu_ratio(self) -> float:
        """The same of the time that the process computed, without what it waited for its turn."""
        return self.theirs_cpu_s / self.ours_cpu_s


@torch.no_grad()
def held(pair: Pair) -> Held:
    """Hold both to the reference."""
    if pair.reference is None:
        return Held(pair.name, pair.package, math.nan, math.nan, False, pair.differences)
    expected = pair.reference(*pair.inputs)
    axis = 1 if expected.ndim == 3 else 2
    size = expected.abs().max()

    def distance(out: Tensor) -> float:
        whole = (out - expected).movedim(axis, 0)
        return float(whole[: len(whole) - pair.unheld].abs().max() / size)

    ours, theirs = distance(pair.ours(*pair.inputs)), distance(pair.theirs(*pair.inputs))
    if not ours <= TOLERANCE:
        raise RuntimeError(f"ours is {ours:.1e} from the reference, more than {TOLERANCE:g}: {pair.name}")
    return Held(pair.name, pair.package, ours, theirs, theirs <= TOLERANCE, pair.differences)


def timed(pair: Pair, n: int, backward: bool, seconds: float) -> Line:
    """Ours and theirs in turns."""
    inputs = tuple(x.requires_grad_(backward) for x in pair.inputs)

    def ready(function: Callable[..., Tensor], parameters: Sequence[Tensor]) -> Callable[[], object]:
        wanted = [*inputs, *parameters]

        def forward() -> object:
            with torch.no_grad():
                return function(*inputs)

        def both() -> object:
            out = function(*inputs)
            return torch.autograd.grad(out, wanted, torch.ones_like(out), allow_unused=True)

        return both if backward else forward

    calls = [ready(*each) for each in zip((pair.ours, pair.theirs), pair.parameters, strict=True)]
    for call in calls:
        call()
    times: list[list[tuple[float, float]]] = [[], []]
    while not enough(times, seconds):
        for call, own in zip(calls, times, strict=True):
            start, computed = time.perf_counter(), time.process_time()
            call()
            own.append((time.perf_counter() - start, time.process_time() - computed))
    ours_mib, theirs_mib = (peak_of(call).extra_mib for call in calls)
    wall, computed = ([min(turn[clock] for turn in own) for own in times] for clock in (0, 1))
    return Line(
        pair.name, pair.package, n, backward, *wall, *computed, len(times[0]), ours_mib, theirs_mib, pair.differences
    )


def enough(times: Sequence[Sequence[tuple[float, float]]], seconds: float) -> bool:
    """At least LEAST turns, or 2 if they are long; then as many as fill the seconds, and at most MOST."""
    turns, spent = len(times[0]), sum(turn[0] for own in times for turn in own)
    least = 2 if spent > LONG_S else LEAST
    return turns >= least and (turns >= MOST or spent >= 2 * seconds)


def measure(lengths: Sequence[int], seconds: float, folder: Path | None) -> None:
    """Hold, measure, print and write."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    began, wall, own = table.now(), time.perf_counter(), time.process_time()
    load = [os.getloadavg()[0]]
    checks = [held(pair) for pairs in PAIRS for pair in pairs(HELD_AT)]
    for check in checks:
        verdict = "the same" if check.same else "not the same"
        print(
            f"{check.name} and {check.package}: {verdict}; from the reference {check.ours:.1e} and {check.theirs:.1e}"
        )
    compared = {(check.name, check.package) for check in checks if check.same or math.isnan(check.theirs)}
    lines: list[Line] = []
    for n in lengths:
        for pairs in PAIRS:
            for pair in pairs(n):
                if (pair.name, pair.package) not in compared:
                    continue
                dense = pair.package == "torch" and n > 4096  # minutes, to learn what 4,096 tokens say
                if dense and pair.reference is not None:
                    continue
                for backward in (False,) if dense else (False, True):
                    line = timed(pair, n, backward, seconds)
                    lines.append(line)
                    what = "forward + backward" if backward else "forward"
                    both = f"{ms(line.ours_s)} and {ms(line.theirs_s)} ms, {line.ratio:.2f} ×"
                    print(f"{n:>6} {line.name}, {what}: {both} ({line.cpu_ratio:.2f} × computed)", flush=True)
        load.append(os.getloadavg()[0])
    environment = table.environment(1)
    result = {
        "date": began,
        "environment": dataclasses.asdict(environment),
        "packages": {name: version(name) for name in (package.partition("==")[0] for package in PACKAGES)},
        "sizes": {"heads": HEADS, "d": D, "width": WIDTH, "batch": 1, "dtype": "float32"},
        "load": {"average": load, "share_of_a_core": (time.process_time() - own) / (time.perf_counter() - wall)},
        "held_to_reference": [dataclasses.asdict(check) for check in checks],
        "lines": [{**dataclasses.asdict(line), "ratio": line.ratio, "cpu_ratio": line.cpu_ratio} for line in lines],
    }
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"peers-float32-{environment.slug}"
        text = json.dumps(result, indent=1, ensure_ascii=False).replace("NaN", "null")
        path.with_name(path.name + ".json").write_text(text + "\n")
        path.with_name(path.name + ".md").write_text(page(json.loads(text)))


def ms(seconds: float) -> str:
    """Milliseconds in three digits."""
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:,.0f}"


def page(result: dict[str, Any]) -> str:
    """The result as a page of tables."""
    environment, load, packages = result["environment"], result["load"], result["packages"]
    averages = ", ".join(f"{value:.1f}" for value in load["average"])
    out = [
        "# Against other packages",
        "",
        f"Written by `python benchmarks/peers.py` on {result['date']} UTC: {environment['processor']}, {environment['cores']} cores, "
        f"one thread, torch {environment['torch']}, float32, {HEADS} heads of width {D}, layers of width {WIDTH}, batch 1. "
        f"{', '.join(f'{name} {number}' for name, number in packages.items())}.",
        "",
        f"Load average before and after each length: {averages}; this process had {load['share_of_a_core']:.0%} of a core. Times are "
        "in ms, the least of all turns, ours / theirs; × says how many times as fast ours is, and in brackets the same of the "
        "time that the process computed, without what it waited for its turn on this shared machine.",
        "",
    ]
    lengths = sorted({line["n"] for line in result["lines"]})
    for backward, title in ((False, "Forward"), (True, "Forward + backward")):
        out += [f"## {title}", "", "| | package | " + " | ".join(f"{n:,}" for n in lengths) + " |"]
        out += ["|---|---|" + "---|" * len(lengths)]
        by_row: dict[tuple[str, str], dict[int, str]] = {}
        for line in result["lines"]:
            if line["backward"] == backward:
                cell = f"{ms(line['ours_s'])} / {ms(line['theirs_s'])}, {line['ratio']:.2f} × ({line['cpu_ratio']:.2f})"
                by_row.setdefault((line["name"], line["package"]), {})[line["n"]] = cell
        out += [
            f"| {name} | {package} | " + " | ".join(cells.get(n, "") for n in lengths) + " |"
            for (name, package), cells in by_row.items()
        ]
        out.append("")
    out += ["## Memory of one call, forward (MiB beyond the inputs), ours / theirs", ""]
    out += ["| | package | " + " | ".join(f"{n:,}" for n in lengths) + " |", "|---|---|" + "---|" * len(lengths)]
    memory: dict[tuple[str, str], dict[int, str]] = {}
    for line in result["lines"]:
        if not line["backward"]:
            cell = f"{line['ours_mib']:.0f} / {line['theirs_mib']:.0f}"
            memory.setdefault((line["name"], line["package"]), {})[line["n"]] = cell
    out += [
        f"| {name} | {package} | " + " | ".join(cells.get(n, "") for n in lengths) + " |"
        for (name, package), cells in memory.items()
    ]
    out += [
        "",
        f"## Held to the reference, {HELD_AT} tokens",
        "",
        "| | package | ours | theirs | | |",
        "|---|---|---|---|---|---|",
    ]
    for check in result["held_to_reference"]:
        distances = ["" if check[side] is None else f"{check[side]:.0e}" for side in ("ours", "theirs")]
        verdict = (
            "the same"
            if check["same"]
            else "not the same: timed as such"
            if check["theirs"] is None
            else "not compared"
        )
        out.append(
            f"| {check['name']} | {check['package']} | {' | '.join(distances)} | {verdict} | {check['differences']} |"
        )
    return "\n".join(out) + "\n"


def install(environment: Path) -> Path:
    """The packages in an environment of their own, which finds torch where this one has it; its Python."""
    python = environment / "bin" / "python"
    stamp = environment / "installed.txt"
    if stamp.is_file() and stamp.read_text() == "\n".join(PACKAGES):
        return python
    venv.create(environment, with_pip=True, clear=True)
    site = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], text=True
    )
    (Path(site.strip()) / "shared.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)
    stamp.write_text("\n".join(PACKAGES))
    return python


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", default=",".join(map(str, LENGTHS)), metavar="N,N,…")
    parser.add_argument("--seconds", type=float, default=2.0, help="of the turns of one call (default: 2)")
    parser.add_argument(
        "--folder", type=Path, help="where results go; default: benchmarks/results for the default lengths"
    )
    parser.add_argument(
        "--environment", type=Path, default=Path("build/peers"), help="where the packages are installed"
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    lengths = [int(word) for word in options.lengths.split(",")]
    if bad := [n for n in lengths if n < 1 or n % LANDMARKS]:
        parser.error(f"lengths are multiples of {LANDMARKS}, the landmarks: nystrom-attention pads others; got {bad}")
    if options.inside:
        default = table.FOLDER if tuple(lengths) == LENGTHS else None
        measure(lengths, options.seconds, options.folder or default)
        return 0
    python = install(options.environment)
    path = os.pathsep.join([str(Path(regard.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    given = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
    return subprocess.run([python, __file__, "--inside", *sys.argv[1:]], env=given, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
