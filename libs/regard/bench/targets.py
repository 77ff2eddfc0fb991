"""What this library promises about its speed and memory, as checks on rows.

Float32, 8 heads of width 64, two threads; forward.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from regard import cost
from regard.bench.cases import FUSED, LIBRARY, PLAIN, Case
from regard.bench.table import Row
from regard.registry import mechanism_class

HEADS, HEAD_WIDTH, THREADS = 8, 64, 2
SEVERAL_CLUSTERS = 1024  # below it, one cluster of 512 is dense attention, and the fixed cost of a call matters
R2C32, R4C128 = "rounds=2 cluster_size=32", "rounds=4 cluster_size=128"


@dataclass(frozen=True)
class Check:
    """A target: its subject, the bound in words, what was measured, and whether the bound holds.

    `None` is not measured yet.
    """

    about: str
    bound: str
    measured: float | None
    unit: str
    where: str
    holds: bool | None


Measured = list[tuple[int, float]]  # (length, value)


class Rows:
    """Rows to look things up in; those of the targets' sizes."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = [row for row in rows if row.environment.threads == THREADS and _is_forward(row.case)]

    def of(
        self,
        mechanism: str,
        options: str = "",
        *,
        form: str = LIBRARY,
        level: str = "mix",
        pattern: str = "noncausal_self",
        heads: int = HEADS,
    ) -> list[Row]:
        """The rows of one kind in order of length. `form` "peer" is any form of another file."""
        wanted = (mechanism, options, level, pattern, heads)
        matching = [row for row in self.rows if _what(row.case) == wanted and form == _form(row.case)]
        return sorted(matching, key=lambda row: row.case.n)

    def speeds(self, mechanism: str, options: str = "", *, pattern: str = "noncausal_self", least: int = 0) -> Measured:
        """Times as fast as fused softmax attention, from length `least` on."""
        rows = self.of(mechanism, options, pattern=pattern)
        return [(row.case.n, row.speed) for row in rows if row.speed is not None and row.case.n >= least]

    def peaks(self, mechanism: str, options: str = "", *, pattern: str = "noncausal_self", n: int) -> Measured:
        """Peak memory in units of q + k + v + out, at length n."""
        rows = self.of(mechanism, options, pattern=pattern)
        return [(n, row.peak_ratio) for row in rows if row.peak_ratio is not None and row.case.n == n]


def _is_forward(case: Case) -> bool:
    return not case.backward and case.dtype == "float32" and case.head_width == HEAD_WIDTH and case.batch == 1


def _what(case: Case) -> tuple[str, str, str, str, int]:
    return case.mechanism, case.options, case.level, case.pattern, case.heads


def _form(case: Case) -> str:
    return case.form if case.form in (FUSED, LIBRARY, PLAIN) else "peer"


def checks(rows: Iterable[Row]) -> list[Check]:
    """Check every target on rows.

    Args:
        rows: Measurements, as of `table.read_all`.

    Returns:
        One check per target; `holds` is None where it has not been measured.
    """
    measured = Rows(rows)
    return [*_smyrf(measured), *_local(measured), *_causal(measured), *_layers(measured)]


def bench_options(mechanism: str) -> tuple[str, ...]:
    """The settings in which a mechanism is measured."""
    return mechanism_class(mechanism).bench_options


def _smyrf(rows: Rows) -> list[Check]:
    result = []
    for options, bounds in ((R2C32, {1024: 1, 4096: 4, 16384: 12}), (R4C128, {4096: 2, 16384: 8})):
        speeds = dict(rows.speeds("smyrf", options))
        for n, bound in bounds.items():
            at = [(n, speeds[n])] if n in speeds else []
            result.append(at_least(f"smyrf {options}: speed at n = {n:,}", bound, at, "× fused"))
    for options in bench_options("smyrf"):
        grown = [
            (row.case.n, row.doubling)
            for row in rows.of("smyrf", options)
            if row.doubling is not None and row.case.n.bit_count() == 1 and row.case.n // 2 >= SEVERAL_CLUSTERS
        ]
        result.append(at_most(f"smyrf {options}: growth of its time per doubling of n", 2.3, grown, "×"))
    for options in bench_options("smyrf"):
        own = {row.case.n: row.time_s for row in rows.of("smyrf", options)}
        ratios = [
            (row.case.n, row.time_s / time_s)
            for row in rows.of("smyrf", options, form="peer")
            if row.time_s is not None and (time_s := own.get(row.case.n)) and row.case.n >= 4096
        ]
        result.append(at_least(f"smyrf {options}: speed from n = 4,096 on", 2, ratios, "× its straightforward form"))
    peaks = [peak for options in bench_options("smyrf") for peak in rows.peaks("smyrf", options, n=65536)]
    result.append(at_most("smyrf, every setting: peak memory at n = 65,536", 2, peaks, "× q + k + v + out"))
    single = [
        row for options in bench_options("smyrf") for row in rows.of("smyrf", options, heads=1) if row.case.n == 2**20
    ]
    resident = [(row.case.n, row.resident_mib / 1024) for row in single if row.resident_mib is not None]
    result.append(at_most("smyrf, one head, n = 1,048,576: memory of the process", 8, resident, "GiB"))
    return result


def _local(rows: Rows) -> list[Check]:
    return [
        at_least("local, window 15: speed from n = 1,024 on", 1, rows.speeds("local", least=1024), "× fused"),
        at_most("local, window 15: peak memory at n = 65,536", 3, rows.peaks("local", n=65536), "× q + k + v + out"),
    ]


def _causal(rows: Rows) -> list[Check]:
    result = []
    for mechanism in ("performer", "cosformer", "abc"):
        (options,) = bench_options(mechanism)
        name = f"causal {mechanism} {options}".rstrip()
        speeds = rows.speeds(mechanism, options, pattern="causal_self", least=4096)
        peaks = rows.peaks(mechanism, options, pattern="causal_self", n=16384)
        result.append(at_least(f"{name}: speed from n = 4,096 on", 1, speeds, "× fused"))
        result.append(at_most(f"{name}: peak memory at n = 16,384", 4, peaks, "× q + k + v + out"))
    return result


def _layers(rows: Rows) -> list[Check]:
    result = []
    for mechanism in ("efficient", "optimised"):
        ratios = []
        for row in rows.of(mechanism, level="layer"):
            if row.speed is not None:
                ours, standard = (_layer_flops(name, row.case) for name in (mechanism, "softmax"))
                ratios.append((row.case.n, standard / ours / row.speed))
        about = f"{mechanism} layer: its time, as a part of a softmax layer's, over its part of the FLOPs"
        result.append(at_most(about, 1.1, ratios, "×"))
    return result


def _layer_flops(mechanism: str, case: Case) -> int:
    return cost.flops(mechanism, width=case.heads * case.head_width, heads=case.heads, n=case.n)


def at_least(about: str, bound: float, measured: Sequence[tuple[int, float]], unit: str) -> Check:
    """Every value is at least `bound`; the smallest is shown."""
    return _check(about, f"≥ {bound:g}", measured, unit, min, lambda value: value >= bound)


def at_most(about: str, bound: float, measured: Sequence[tuple[int, float]], unit: str) -> Check:
    """Every value is at most `bound`; the largest is shown."""
    return _check(about, f"≤ {bound:g}", measured, unit, max, lambda value: value <= bound)


def _check(
    about: str,
    bound: str,
    measured: Sequence[tuple[int, float]],
    unit: str,
    worst: Callable[..., tuple[int, float]],
    good: Callable[[float], bool],
) -> Check:
    if not measured:
        return Check(about, bound, None, unit, "", None)
    n, value = worst(measured, key=lambda pair: pair[1])
    where = f"n = {n:,}" if len(measured) == 1 else f"worst of {len(measured)}, at n = {n:,}"
    return Check(about, bound, value, unit, where, good(value))
