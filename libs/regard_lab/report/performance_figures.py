"""Figures of the performance page: time and peak memory over length, both axes logarithmic."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from regard.bench.cases import FUSED, LIBRARY, Case
from regard.bench.table import Row
from regard_lab.report.figures import LINES, colour, house_style
from regard_lab.report.performance import Machine, grid, settings

FUSED_COLOUR = "#000000"
Value = Callable[[Row], float | None]
COSTS: dict[str, tuple[str, Value]] = {
    "time": ("ms", lambda row: None if row.time_s is None else 1e3 * row.time_s),
    "peak memory": ("MiB", lambda row: row.peak_mib),
}


def figures(machine: Machine) -> dict[str, tuple[Figure, str]]:
    """Figure and caption by name: time, and memory, for each pattern and direction on split heads; those with nothing to draw are left out."""
    figures_by_name = {}
    for pattern in dict.fromkeys(row.case.pattern for row in machine.rows):
        for backward in (False, True):
            wanted = (pattern, backward, "mix")
            own = [row for row in machine.rows if (row.case.pattern, row.case.backward, row.case.level) == wanted]
            heads = max((row.case.heads for row in own), default=0)
            where = f"{pattern.replace('_', ' ')}, {'forward + backward' if backward else 'forward'}"
            for what, (unit, value) in COSTS.items():
                drawn = _figure([row for row in own if row.case.heads == heads], f"{what} ({unit})", value)
                if drawn is not None:
                    name = f"performance-{machine.anchor}-{pattern}{'-backward' if backward else ''}-{what.replace(' ', '_')}"
                    figures_by_name[name] = (
                        drawn,
                        f"{what.capitalize()} over length, {where}; black: fused softmax attention.",
                    )
    return figures_by_name


def _figure(rows: Sequence[Row], title: str, value: Value) -> Figure | None:
    lengths = grid(rows)
    fast = [row for row in rows if row.case.form in (FUSED, LIBRARY) and row.case.n in lengths and value(row)]
    kinds = sorted(
        {row.case.kind for row in fast if not _is_plain_copy(row.case)},
        key=lambda kind: (kind.form != FUSED, str(kind)),
    )
    if len(lengths) < 2 or not kinds:
        return None
    with house_style():
        figure = Figure(figsize=(6.4, 5.2), layout="constrained")
        _panel(figure.subplots(), kinds, fast, lengths, title, value)
        figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure


def _is_plain_copy(case: Case) -> bool:
    """The library's softmax is the fused kernel."""
    return case.mechanism == "softmax" and case.form == LIBRARY


def _panel(
    axes: Axes, kinds: Sequence[Case], rows: Sequence[Row], lengths: Sequence[int], title: str, value: Value
) -> None:
    for kind in kinds:
        points = sorted((row.case.n, cost) for row in rows if row.case.kind == kind and (cost := value(row)))
        twins = [other for other in kinds if other.mechanism == kind.mechanism and other.form == kind.form]
        name = (
            "fused softmax"
            if kind.form == FUSED
            else ", ".join(part for part in (kind.mechanism, settings(kind)) if part)
        )
        axes.plot(
            [n for n, _ in points],
            [cost for _, cost in points],
            LINES[twins.index(kind) % len(LINES)],
            color=FUSED_COLOUR if kind.form == FUSED else colour({"attention": kind.mechanism}),
            linewidth=2.4 if kind.form == FUSED else 1.4,
            marker=".",
            label=name,
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    # Lengths of the bisection are too close for labels.
    ticks = [n for n in lengths if n.bit_count() == 1] or list(lengths)
    axes.set_xticks(ticks, [f"{n:,}" for n in ticks], rotation=45, ha="right")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.6g}"))
    axes.set_xlabel("length n")
    axes.set_title(title, loc="left", fontsize=9)
