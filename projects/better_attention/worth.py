"""Should I use it? What each mechanism and each control gains over Standard attention, against its parameters and against its time."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from regard_lab.experiment.results import Result, Row
from regard_lab.report.figures import QUICK, Results, colour, house_style

STANDARD = "softmax"
MECHANISMS = ("optimised", "efficient", "super")
CONTROLS = {  # beside the colours of mechanisms
    "softmax_narrow": "#999999",
    "softmax_mixed": "#d55e00",
    "uniform_mixed": "#cc79a7",
    "mixer": "#882255",
    "super_identity": "#56b4e9",
    "orthogonal": "#b8a400",
    "super_per_head": "#332288",
}


@dataclass(frozen=True)
class Quality:
    """A table's measure of quality, and whether more of it is better."""

    table: str
    metric: str
    up: bool
    mark: str


TABLES = (
    Quality("imdb", "test_accuracy", True, "o"),
    Quality("amazon", "test_accuracy", True, "s"),
    Quality("amazon_ratings", "test_rmse", False, "D"),
    Quality("mnist", "test_accuracy", True, "^"),
    Quality("cifar", "test_accuracy", True, "v"),
    Quality("imagenet", "test_accuracy", True, "<"),
    Quality("translation", "bleu", True, "P"),
    Quality("lm", "test_perplexity", False, "X"),
)
CONTROL_TABLES = (
    Quality("controls_text", "test_accuracy", True, "o"),
    Quality("controls_vision", "test_accuracy", True, "<"),
)
LINEAR, TICKS = (
    2.0,
    (-50, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50),
)  # % of gain: beyond ± LINEAR the axis is logarithmic
COSTS = {"attention_parameters": "attention parameters", "latency_ms": "time of a forward pass"}


def should_i_use_it(results: Results) -> Figure | None:
    """Gain over Standard attention (up is better) against parameters and time, both over Standard's: left of the dashed line is cheaper. Above the
    mechanisms on all data sets, below the controls. A colour is a mechanism, a mark a data set. Mean over seeds, in % of Standard's accuracy, BLEU,
    error or perplexity, ± one standard error of the differences seed by seed; the axis is linear up to ± 2 % and logarithmic beyond."""
    panels = [(tables, found) for tables in (TABLES, CONTROL_TABLES) if (found := _found(results, tables))]
    if not panels:
        return None
    with house_style():
        figure = Figure(figsize=(9.6, 0.6 + 3.5 * len(panels)), layout="constrained")
        grid = figure.subplots(len(panels), len(COSTS), squeeze=False, sharey="row")
        for line, (_, found) in zip(grid, panels, strict=True):
            for axes, (cost, title) in zip(line, COSTS.items(), strict=True):
                _panel(axes, found, cost)
                axes.set_xlabel(f"{title}, over softmax")
            line[0].set_ylabel("gain over softmax (%)")
            _squeeze(line[0])
            line[-1].legend(handles=_legend(found), loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8)
        quick = any(result.scale == "quick" for _, found in panels for result in found.values())
        grid[0][0].set_title(QUICK if quick else "laptop scale and better", loc="left", fontsize=8, color="#555555")
    return figure


def _found(results: Results, tables: tuple[Quality, ...]) -> dict[Quality, Result]:
    """The tables that have results; all at evidence if any is, so that mechanics do not stand beside it."""
    there = {quality: result for quality in tables if (result := results.best(quality.table)) is not None}
    evidence = {quality: result for quality, result in there.items() if result.scale != "quick"}
    return evidence or there


def _squeeze(axes: Axes) -> None:
    """Let a loss of half the quality and gains of a tenth of a per cent be read off one axis."""
    low, high = axes.get_ylim()
    axes.set_yscale("symlog", linthresh=LINEAR, linscale=2)
    axes.set_ylim(1.25 * low, high)  # room beneath a mark at the lower end
    axes.set_yticks([tick for tick in TICKS if low <= tick <= high], minor=False)
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter("{x:g}")


def _panel(axes: Axes, found: dict[Quality, Result], cost: str) -> None:
    axes.axhline(0, color="#777777", linewidth=0.8)
    axes.axvline(1, color="#777777", linewidth=0.8, linestyle="--")
    for quality, result in found.items():
        standard = result.row(attention=STANDARD)
        for row in result.rows:
            if standard is None or row is standard or not {quality.metric, cost} <= row.metrics.keys():
                continue
            name = str(row.key["attention"])
            gain, error = gain_of(quality, row, standard)
            x = row.metrics[cost].mean / standard.metrics[cost].mean
            axes.errorbar(
                x, gain, error, fmt=quality.mark, color=colour_of(name), markersize=5.5, elinewidth=0.9, alpha=0.85
            )


def gain_of(quality: Quality, row: Row, standard: Row) -> tuple[float, float]:
    """The mean gain in % of Standard's, over the seeds that both have, and its standard error (0 for one seed)."""
    ours = dict(zip(row.seeds, row.metrics[quality.metric].values, strict=True))
    theirs = dict(zip(standard.seeds, standard.metrics[quality.metric].values, strict=True))
    sign = 1 if quality.up else -1
    gains = np.array([100 * sign * (ours[seed] / theirs[seed] - 1) for seed in ours if seed in theirs])
    error = gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
    return float(gains.mean()), float(error)


def colour_of(name: str) -> str:
    """The colour of a mechanism or a control, in every figure of the project."""
    return CONTROLS.get(name) or colour({"attention": name})


def _legend(found: dict[Quality, Result]) -> list[Line2D]:
    names = dict.fromkeys(str(row.key["attention"]) for result in found.values() for row in result.rows)
    colours = [
        Line2D([], [], marker="o", linestyle="", color=colour_of(name), label=name)
        for name in names
        if name != STANDARD
    ]
    marks = [
        Line2D([], [], marker=quality.mark, linestyle="", color="#4d4d4d", mfc="white", label=_set(quality, result))
        for quality, result in found.items()
    ]
    return [*colours, *marks]


def _set(quality: Quality, result: Result) -> str:
    """The table, and the data set that it really ran on if its name does not say so."""
    table, used = quality.table.replace("_", " "), [use.name.replace("_", " ") for use in result.data]
    return table if table in used else f"{table} ({', '.join(used)})"
