"""The performance page: it shows only what `benchmarks/results/*.csv` hold, as measured by `python -m regard bench`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from regard.bench.cases import FUSED, LIBRARY, PLAIN, Case
from regard.bench.fits import CAB_LENGTHS, crossing, efficiency_length, exponent
from regard.bench.table import FOLDER, Environment, Row, files, read
from regard.bench.targets import Check, checks
from regard.loading import BadRequest
from regard_lab.common.errors import UserError

LONG = 4096  # growth is measured from here on: below, the fixed cost of a call matters
NONE = "—"


@dataclass(frozen=True)
class Timing:
    """One kind at one length, in words; `speed` and `peak` are relative, to fused softmax attention and to q + k + v + out."""

    time: str
    spread: str
    speed: str
    peak: str
    peak_ratio: str
    why_not: str
    slower: bool


@dataclass(frozen=True)
class TimedKind:
    """One kind: mechanism, settings, form; its timings in the order of the table's lengths."""

    name: str
    detail: str
    form: str
    script: str | None
    timings: list[Timing | None]

    @property
    def quiet(self) -> bool:
        return bool(self.form)


@dataclass(frozen=True)
class TimingTable:
    """Kinds that were compared: one pattern, direction, level and size."""

    anchor: str
    title: str
    lengths: list[int]
    kinds: list[TimedKind]
    has_memory: bool


@dataclass(frozen=True)
class Pays:
    """From which length a mechanism pays, and how its costs grow."""

    name: str
    detail: str
    pattern: str
    measured: str
    fit_fused: str
    fit_plain: str
    memory_fit_plain: str
    time_growth: str
    memory_growth: str


@dataclass(frozen=True)
class Machine:
    """All that was measured in one environment."""

    environment: Environment
    anchor: str
    dates: str
    checks: list[Check]
    pays: list[Pays]
    tables: list[TimingTable]
    rows: list[Row]

    @property
    def held(self) -> int:
        return sum(check.holds is True for check in self.checks)


@dataclass(frozen=True)
class Performance:
    """The page: its machines, and the files that they come from."""

    machines: list[Machine]
    sources: list[str]


def performance(root: Path) -> Performance | None:
    """The content to show; `None` without results. An incomplete file raises a `UserError`."""
    paths = files(root / FOLDER)
    rows: list[Row] = []
    for path in paths:
        try:
            rows += read(path)
        except BadRequest as error:
            raise UserError(str(error)) from None
    if not rows:
        return None
    environments = sorted({row.environment for row in rows}, key=lambda one: (one.processor, one.torch, one.threads))
    machines = [
        _machine(number, environment, [row for row in rows if row.environment == environment])
        for number, environment in enumerate(environments, 1)
    ]
    return Performance(machines, [(FOLDER / path.name).as_posix() for path in paths])


def _machine(number: int, environment: Environment, rows: list[Row]) -> Machine:
    dates = sorted({row.date.partition(" ")[0] for row in rows})
    return Machine(
        environment=environment,
        anchor=f"machine-{number}",
        dates=" to ".join(dict.fromkeys((dates[0], dates[-1]))),
        checks=[check for check in checks(rows) if check.holds is not None],
        pays=_pays(rows),
        tables=_tables(number, rows),
        rows=rows,
    )


def _tables(number: int, rows: Iterable[Row]) -> list[TimingTable]:
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        case = row.case
        key = (
            case.level != "mix",
            case.backward,
            case.pattern,
            case.batch,
            -case.heads,
            case.head_width,
            case.dtype,
            case.device,
        )
        groups.setdefault(key, []).append(row)
    tables = []
    for index, (_, own) in enumerate(
        sorted(groups.items(), key=lambda item: (item[0][0], item[0][1], _order(item[0][2]), str(item[0]))), 1
    ):
        lengths = grid(own)
        kinds = sorted(
            {row.case.kind for row in own},
            key=lambda kind: (kind.form != FUSED, kind.mechanism, kind.options, *_form(kind)),
        )
        by_case = {(row.case.kind, row.case.n): row for row in own}
        timed = [_timed(kind, [by_case.get((kind, n)) for n in lengths]) for kind in kinds]
        has_memory = any(row.peak_mib is not None for row in own)
        tables.append(TimingTable(f"table-{number}-{index}", _title(own[0].case), lengths, timed, has_memory))
    return tables


def grid(rows: Sequence[Row]) -> list[int]:
    """The lengths that were asked for: those of more than one kind. Bisection adds lengths to one kind alone."""
    kinds: dict[int, set[Case]] = {}
    for row in rows:
        kinds.setdefault(row.case.n, set()).add(row.case.kind)
    several = len({row.case.kind for row in rows}) > 1
    return sorted(n for n, own in kinds.items() if len(own) > 1 or not several)


def _order(pattern: object) -> int:
    return ["noncausal_self", "causal_self", "noncausal_cross", "causal_cross"].index(str(pattern))


def _form(case: Case) -> tuple[int, str]:
    return {FUSED: 0, LIBRARY: 0, PLAIN: 1}.get(case.form, 2), case.form


def _title(case: Case) -> str:
    what = "Whole layers" if case.level == "layer" else "Split heads"
    direction = "forward + backward" if case.backward else "forward"
    heads = f"{case.heads} head{'s' * (case.heads != 1)} of width {case.head_width}"
    size = heads if case.batch == 1 else f"batch {case.batch}, {heads}"
    return f"{what}, {case.pattern.replace('_', ' ')}, {direction}: {size}, {case.dtype}" + (
        "" if case.device == "cpu" else f", {case.device}"
    )


def _timed(kind: Case, rows: Sequence[Row | None]) -> TimedKind:
    words = {FUSED: "the fused kernel", LIBRARY: "", PLAIN: "plain reference"}
    script = None if kind.form in words else kind.form.partition(":")[0]
    form = words.get(kind.form) if script is None else PurePosixPath(script).stem.replace("_", " ")
    is_baseline = kind == kind.baseline
    return TimedKind(
        kind.mechanism,
        settings(kind),
        form or "",
        script,
        [None if row is None else _timing(row, is_baseline) for row in rows],
    )


def settings(case: Case) -> str:
    """ "rounds=2 cluster_size=32" -> "rounds 2, cluster size 32"."""
    return ", ".join(part.replace("=", " ").replace("_", " ") for part in case.options.split())


def _timing(row: Row, is_baseline: bool) -> Timing:
    speed, ratio = (None if is_baseline else row.speed), row.peak_ratio
    return Timing(
        time=seconds(row.time_s),
        spread=seconds(row.spread_s),
        speed=NONE if speed is None else f"{speed:.2f}×" if speed < 10 else f"{speed:.1f}×",
        peak=NONE if row.peak_mib is None else mebibytes(row.peak_mib),
        peak_ratio=NONE if ratio is None else f"{ratio:.1f}",
        why_not=row.skipped,
        slower=speed is not None and speed < 1,
    )


def seconds(value: float | None) -> str:
    """Three figures, in ms below a second."""
    if value is None:
        return NONE
    return _figures(value, "s") if value >= 1 else _figures(1e3 * value, "ms")


def mebibytes(value: float) -> str:
    """Three figures, in GiB from 1024 MiB on."""
    return _figures(value, "MiB") if value < 1024 else _figures(value / 1024, "GiB")


def _figures(value: float, unit: str) -> str:
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f} {unit}"


def _pays(rows: Sequence[Row]) -> list[Pays]:
    """One entry per mechanism, setting and pattern; forward, on split heads, at the size that most rows have."""
    forward = [row for row in rows if not row.case.backward and row.case.level == "mix"]
    sizes = [_size(row.case) for row in forward]
    common = [row for row, size in zip(forward, sizes, strict=True) if size == max(set(sizes), key=sizes.count)]
    kinds = [
        kind
        for kind in dict.fromkeys(row.case.kind for row in common)
        if kind.form == LIBRARY and kind.mechanism != "softmax"
    ]
    return [
        _pay(kind, common)
        for kind in sorted(kinds, key=lambda kind: (_order(kind.pattern), kind.mechanism, kind.options))
    ]


def _size(case: Case) -> tuple[int, int, int, str, str]:
    return case.batch, case.heads, case.head_width, case.dtype, case.device


def _pay(kind: Case, rows: Sequence[Row]) -> Pays:
    plain = next(iter(row.case.kind for row in rows if row.case.kind == _plain_softmax(kind)), None)
    own = {row.case.n: row for row in rows if row.case.kind == kind}
    times = {n: row.time_s for n, row in own.items() if row.time_s is not None}
    peaks = {n: row.peak_mib for n, row in own.items() if row.peak_mib is not None}
    fused = {row.case.n: row.time_s for row in rows if row.case.kind == kind.baseline and row.time_s is not None}
    plain_rows = [row for row in rows if row.case.kind == plain]
    plain_times = {row.case.n: row.time_s for row in plain_rows if row.time_s is not None}
    plain_peaks = {row.case.n: row.peak_mib for row in plain_rows if row.peak_mib is not None}
    speeds = {n: row.speed for n, row in own.items() if row.speed is not None}
    pays = crossing(speeds)
    first = min(speeds, default=0)
    return Pays(
        name=kind.mechanism,
        detail=settings(kind),
        pattern=kind.pattern.replace("_", " "),
        measured=NONE
        if not speeds
        else f"> {max(speeds):,}"
        if pays is None
        else f"≤ {first:,}"
        if pays == first
        else f"{pays:,.0f}",
        fit_fused=_tokens(efficiency_length(fused, times)),
        fit_plain=_tokens(efficiency_length(plain_times, times)),
        memory_fit_plain=_tokens(efficiency_length(plain_peaks, peaks, line_lengths=CAB_LENGTHS)),
        time_growth=_growth(times),
        memory_growth=_growth(peaks),
    )


def _plain_softmax(kind: Case) -> Case:
    baseline = vars(kind.baseline)
    return Case(**{**baseline, "form": PLAIN})


def _tokens(length: float | None) -> str:
    return NONE if length is None else f"{length:,.0f}"


def _growth(costs: dict[int, float]) -> str:
    long = {n: cost for n, cost in costs.items() if n >= LONG and cost > 0}
    return NONE if len(long) < 2 else f"{exponent(long):.2f}"
