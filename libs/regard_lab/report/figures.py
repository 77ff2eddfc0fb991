"""Figures in one house style, as SVG files that are the same to the last byte every time.

A project's `figures` holds `FIGURES`: one function per figure, from `Results` to a matplotlib figure, to `Sounds`, or
to `None` (nothing has been run). Its docstring is the caption. No function holds a number; all come from `results/`.
"""

import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from regard.registry import list_mechanisms
from regard_lab.common.files import write_atomically
from regard_lab.common.formatting import Key, label, number
from regard_lab.experiment.results import SCALES, Metric, Result, Row, Scale
from regard_lab.report import hover

# Okabe and Ito's colours first, then Tol's muted ones: distinguishable with any colour vision, and the same for a mechanism in every figure.
COLOURS = {
    "softmax": "#000000",
    "optimised": "#0072b2",
    "efficient": "#e69f00",
    "super": "#009e73",
    "smyrf": "#d55e00",
    "local": "#56b4e9",
    "nystrom": "#cc79a7",
    "performer": "#882255",
    "cosformer": "#999933",
    "lara": "#332288",
    "probsparse": "#aa4499",
    "abc": "#117733",
    "longshort": "#b8a400",
    "s4d": "#661100",
    "linformer": "#44aa99",
    "scatterbrain": "#ddcc77",
    "hyper": "#5d2e8c",
    "kde": "#7a9a01",
}
# Of mechanisms that have no colour of their own above, by their place among these.
MORE_COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#bb5566", "#004488", "#ddaa33", "#225522")
# A control, a design, or anything else that is not a mechanism of the library gets no colour but a grey, a marker
# filling and a line style.
GREYS = ("#767676", "#a8a8a8", "#4f4f4f")
FILLINGS: tuple[Literal["none", "left", "top", "right", "bottom", "full"], ...] = (
    "none",
    "left",
    "top",
    "right",
    "bottom",
    "full",
)
LINES = ("-", "--", ":", "-.")
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "regard",
    "svg.fonttype": "none",  # text stays text: it can be searched, copied and read aloud
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that text has the same size on every machine
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "figure.dpi": 100,
}
QUICK = "quick: mechanics, not evidence"
FONTS = b"'DejaVu Sans', Verdana, sans-serif"  # if the reader's machine lacks it, the next font of the same width


class Results:
    """The results of one paper; `used` lists those that were asked for, in that order, so that a figure can name its sources."""

    def __init__(self, results: Iterable[Result]) -> None:
        self._results = {(result.table, result.scale): result for result in results}
        self.used: list[Result] = []

    def get(self, table: str, scale: Scale) -> Result | None:
        """A table's result at a scale, or `None`."""
        result = self._results.get((table, scale))
        if result is not None and result not in self.used:
            self.used.append(result)
        return result

    def best(self, table: str) -> Result | None:
        """A table's result at the scale with the best evidence: paper, then laptop, then quick; or `None`."""
        scales = [scale for scale in reversed(SCALES) if (table, scale) in self._results]
        return self.get(table, scales[0]) if scales else None


@dataclass(frozen=True)
class Sounds:
    """Sounds that a page plays in place of a drawing.

    Attributes:
        said: A description of what can be heard in all of them.
        players: Label -> a sound of `regard_lab.common.sounds`.
    """

    said: str
    players: Mapping[str, str]


Maker = Callable[[Results], Figure | Sounds | None]


@contextmanager
def house_style() -> Iterator[None]:
    """matplotlib's defaults with the house style on top, whatever a user's matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def svg(figure: Figure) -> bytes:
    """The figure as SVG: no date, no version, text as text, and the value of each marker on hover."""
    buffer = io.BytesIO()
    with house_style():
        marked = hover.mark(figure)
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    return hover.with_titles(buffer.getvalue(), marked).replace(b"'DejaVu Sans'", FONTS)


def save(figure: Figure, path: Path) -> None:
    """Write the figure as SVG, atomically."""
    write_atomically(path, svg(figure))


def colour(key: Key) -> str:
    """The colour of a row's mechanism; for one that is not the library's, a grey that is the same every time."""
    name = _name(key)
    return mechanism_colours().get(name) or GREYS[zlib.crc32(name.encode()) % len(GREYS)]


def mechanism_colours() -> dict[str, str]:
    """The colour of every mechanism of the library; a new one gets the next that is free."""
    new = [name for name in list_mechanisms() if name not in COLOURS]
    return COLOURS | {name: MORE_COLOURS[place % len(MORE_COLOURS)] for place, name in enumerate(new)}


def look(key: Key, among: Sequence[str] = ()) -> dict[str, Any]:
    """Colour and filling of a row's markers: full in the mechanism's colour; a control is grey and differs from others by its filling.

    Args:
        key: The row's key.
        among: The names that a figure shows; controls are told apart by their order there, up to 18 of them.

    Returns:
        Arguments of `Axes.plot`.
    """
    name = _name(key)
    coloured = mechanism_colours()
    if name in coloured:
        return {"color": coloured[name]}
    controls = [other for other in dict.fromkeys(among) if other not in coloured] or [name]
    place = controls.index(name) if name in controls else zlib.crc32(name.encode())
    grey = GREYS[place // len(FILLINGS) % len(GREYS)]
    return {"color": grey, "fillstyle": FILLINGS[place % len(FILLINGS)], "markerfacecoloralt": "white", "mew": 1.1}


def _name(key: Key) -> str:
    return str(key.get("attention", label(key)))


def data_ticks(axis: Axis, values: Iterable[float], form: str = "{:g}", room: float = 0.045) -> None:
    """Put ticks only at the data; neighbours too close for two labels share one, "45, 46".

    Args:
        axis: The x or y axis, its scale already set.
        values: Where the data are.
        form: How a value is written.
        room: The least distance of two labels, as a share of the span of the values.
    """
    places = sorted(set(values))
    if not places:
        return
    log = axis.get_scale() == "log"
    at = np.log(places) if log else np.array(places)
    span = float(at[-1] - at[0]) or 1.0
    groups: list[list[int]] = [[0]]
    for index in range(1, len(places)):
        if at[index] - at[groups[-1][0]] < room * span:
            groups[-1].append(index)
        else:
            groups.append([index])
    middles = [float(at[group].mean()) for group in groups]
    axis.set_major_locator(FixedLocator([float(np.exp(middle)) if log else middle for middle in middles]))
    axis.set_major_formatter(
        FixedFormatter([", ".join(form.format(places[index]) for index in group) for group in groups])
    )
    axis.set_minor_locator(NullLocator())


def plain_log_ticks(axis: Axis) -> None:
    """A logarithmic axis with ticks written out: 1, 2, 5, 10 …, enough of them that two decades have more than one."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axis.set_minor_formatter(NullFormatter())


def seed_dots(result: Result | None, metric: str, title: str) -> Figure | None:
    """One line per row: each seed a dot, the mean a bar.

    Args:
        result: A table's result, if there is one.
        metric: What is drawn.
        title: The label of the axis; the unit is added.

    Returns:
        The figure, or `None` if no row has the metric.
    """
    lines = [(row, row.metrics[metric]) for row in result.rows if metric in row.metrics] if result else []
    if result is None or not lines:
        return None
    with house_style():
        figure, axes = _figure(6.4, 0.9 + 0.42 * len(lines))
        names = [_name(row.key) for row, _ in lines]
        for height, (row, measured) in enumerate(lines):
            spread = np.linspace(-0.16, 0.16, measured.n) if measured.n > 1 else np.zeros(1)
            style = {"markersize": 5, "alpha": 0.75, "mew": 0} | look(row.key, names)
            (dots,) = axes.plot(measured.values, height + spread, "o", **style)
            hover.titles(dots, seed_titles(row, measured))
            axes.plot([measured.mean] * 2, [height - 0.32, height + 0.32], "-", color=colour(row.key), linewidth=2.2)
        axes.set_yticks(range(len(lines)), [label(row.key) for row, _ in lines])
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(_with_unit(title, lines[0][1]))
        axes.set_title(
            scale_note(result, [measured.n for _, measured in lines]), loc="left", fontsize=8, color="#555555"
        )
    return figure


def seed_titles(row: Row, measured: Metric) -> list[str]:
    """The text shown on hover over each seed of a row: "super, seed 0: 78.4 % (mean of 5: 78.1 %)"."""
    unit = f" {measured.unit}" if measured.unit else ""
    mean = f" (mean of {measured.n}: {number(measured.mean)}{unit})" if measured.n > 1 else ""
    return [
        f"{label(row.key)}, seed {seed}: {number(value)}{unit}{mean}"
        for seed, value in zip(row.seeds, measured.values, strict=False)  # the page refuses what does not match
    ]


def training_curves(result: Result | None, metric: str, title: str) -> Figure | None:
    """One line per row over epochs: the mean of its seeds, with a band of ± one standard deviation.

    Args:
        result: A table's result, if there is one.
        metric: Which curve.
        title: The label of the axis; the unit is added.

    Returns:
        The figure, or `None` if no row has the curve.
    """
    lines = [row for row in result.rows if metric in row.curves and row.curves[metric].values] if result else []
    if result is None or not lines:
        return None
    with house_style():
        figure, axes = _figure(6.4, 3.6)
        for row in lines:
            _curve(axes, row, metric, LINES[_twins(row, lines) % len(LINES)])
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        unit = lines[0].curves[metric].unit
        axes.set_ylabel(f"{title} ({unit})" if unit else title)
        axes.legend(loc="best")
        counts = [len(row.curves[metric].values) for row in lines]
        axes.set_title(scale_note(result, counts), loc="left", fontsize=8, color="#555555")
    return figure


def _curve(axes: Axes, row: Row, metric: str, line: str) -> None:
    per_seed = row.curves[metric].values
    epochs = min(len(values) for values in per_seed)
    values = np.array([seed[:epochs] for seed in per_seed])
    mean, x = values.mean(axis=0), np.arange(1, epochs + 1)
    marker = "o" if epochs == 1 else None
    axes.plot(x, mean, line, color=colour(row.key), linewidth=1.6, marker=marker, markersize=4, label=label(row.key))
    if len(values) > 1:
        sd = values.std(axis=0, ddof=1)
        axes.fill_between(x, mean - sd, mean + sd, color=colour(row.key), alpha=0.15, linewidth=0)


def _twins(row: Row, rows: list[Row]) -> int:
    """How many rows of the same colour come before this one."""
    return sum(colour(other.key) == colour(row.key) for other in rows[: rows.index(row)])


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of this size in inches with one pair of axes, without a window."""
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots()


def _with_unit(title: str, metric: Metric) -> str:
    return f"{title} ({metric.unit})" if metric.unit else title


def scale_words(result: Result) -> str:
    """The scale that a figure shows, and, for quick, the remark that it is no evidence."""
    return QUICK if result.scale == "quick" else f"{result.scale} scale"


def scale_note(result: Result, counts: list[int]) -> str:
    """The scale, the number of seeds behind the points, and what stands in for the paper's data."""
    least, most = min(counts), max(counts)
    seeds = f"{most} seed{'s' * (most != 1)}" if least == most else f"{least} to {most} seeds"
    stands_in = [f"{use.name} in place of {use.stands_in_for}" for use in result.data if use.stands_in_for]
    return ", ".join([scale_words(result), seeds, *stands_in])
