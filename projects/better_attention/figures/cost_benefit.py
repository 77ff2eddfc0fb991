"""Should I use it? The gain of each mechanism and each control over Standard attention, against its parameters and against its time."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from projects.better_attention.figures.style import look_of
from regard_lab.experiment.results import Result, Row
from regard_lab.report import hover
from regard_lab.report.figures import QUICK, Results, house_style

STANDARD = "softmax"


@dataclass(frozen=True)
class Quality:
    """A table's measure of quality, whether a higher value is better, and the table's marker."""

    table: str
    metric: str
    higher_is_better: bool
    marker: str


TABLES = (
    Quality("imdb", "test_accuracy", True, "o"),
    Quality("retrieval", "test_accuracy", True, "*"),
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
# In % of gain: beyond ± LINEAR the axis is logarithmic.
LINEAR, TICKS = 2.0, (-50, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50)
COSTS = {"attention_parameters": "attention parameters", "latency_ms": "time of a forward pass"}


def should_i_use_it(results: Results) -> Figure | None:
    """Gain over Standard attention (up is better) against parameters and time, both over Standard's: left of the dashed
    line is cheaper. Above the mechanisms on all data sets, below the controls. A colour is a mechanism, a grey filling
    a control, a marker a data set. Mean over seeds, in % of Standard's accuracy, BLEU, error or perplexity, ± one
    standard error of the differences seed by seed; the axis is linear up to ± 2 % and logarithmic beyond."""
    panels = [shown for tables in (TABLES, CONTROL_TABLES) if (shown := _available(results, tables))]
    if not panels:
        return None
    with house_style():
        figure = Figure(figsize=(9.6, 0.6 + 3.5 * len(panels)), layout="constrained")
        grid = figure.subplots(len(panels), len(COSTS), squeeze=False, sharey="row")
        for line, shown in zip(grid, panels, strict=True):
            for axes, (cost, title) in zip(line, COSTS.items(), strict=True):
                _panel(axes, shown, cost)
                axes.set_xlabel(f"{title}, over softmax")
            line[0].set_ylabel("gain over softmax (%)")
            _logarithmic_tails(line[0])
            line[-1].legend(handles=_legend(shown), loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8)
        quick = any(result.scale == "quick" for shown in panels for result in shown.values())
        grid[0][0].set_title(QUICK if quick else "laptop scale and better", loc="left", fontsize=8, color="#555555")
    return figure


def _available(results: Results, tables: tuple[Quality, ...]) -> dict[Quality, Result]:
    """The tables that have results; if any is evidence, only those that are, so that quick runs do not stand beside them."""
    available = {quality: result for quality in tables if (result := results.best(quality.table)) is not None}
    evidence = {quality: result for quality, result in available.items() if result.scale != "quick"}
    return evidence or available


def _logarithmic_tails(axes: Axes) -> None:
    """Show a loss of half the quality and gains of a tenth of a per cent on one axis."""
    low, high = axes.get_ylim()
    axes.set_yscale("symlog", linthresh=LINEAR, linscale=2)
    axes.set_ylim(1.25 * low, high)  # room beneath a marker at the lower end
    axes.set_yticks([tick for tick in TICKS if low <= tick <= high], minor=False)
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter("{x:g}")


def _panel(axes: Axes, shown: dict[Quality, Result], cost: str) -> None:
    axes.axhline(0, color="#777777", linewidth=0.8)
    axes.axvline(1, color="#777777", linewidth=0.8, linestyle="--")
    for quality, result in shown.items():
        standard = result.row(attention=STANDARD)
        for row in result.rows:
            if standard is None or row is standard or not {quality.metric, cost} <= row.metrics.keys():
                continue
            name = str(row.key["attention"])
            gain, error = gain_of(quality, row, standard)
            x = row.metrics[cost].mean / standard.metrics[cost].mean
            style = {"markersize": 6, "alpha": 0.85} | look_of(name)
            axes.errorbar(x, gain, error, fmt=quality.marker, elinewidth=0.9, **style)
            hover.titles(axes.lines[-1], [_words(name, quality, gain, error, x)])


def _words(name: str, quality: Quality, gain: float, error: float, cost: float) -> str:
    return f"{name} on {quality.table.replace('_', ' ')}: gain {gain:+.2f} % ± {error:.2f}, at {cost:.2f} of softmax's cost"


def gain_of(quality: Quality, row: Row, standard: Row) -> tuple[float, float]:
    """The mean gain in % of Standard's, over the seeds that both have, and its standard error (0 for one seed)."""
    ours = dict(zip(row.seeds, row.metrics[quality.metric].values, strict=True))
    theirs = dict(zip(standard.seeds, standard.metrics[quality.metric].values, strict=True))
    sign = 1 if quality.higher_is_better else -1
    gains = np.array([100 * sign * (ours[seed] / theirs[seed] - 1) for seed in ours if seed in theirs])
    error = gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
    return float(gains.mean()), float(error)


def _legend(shown: dict[Quality, Result]) -> list[Line2D]:
    names = dict.fromkeys(str(row.key["attention"]) for result in shown.values() for row in result.rows)
    colours = [
        Line2D([], [], marker="o", linestyle="", label=name, **look_of(name)) for name in names if name != STANDARD
    ]
    markers = [
        Line2D([], [], marker=quality.marker, linestyle="", color="#4d4d4d", mfc="white", label=_data(quality, result))
        for quality, result in shown.items()
    ]
    return [*colours, *markers]


def _data(quality: Quality, result: Result) -> str:
    """The table, and the data set that it was run on if its name does not say so."""
    table, used = quality.table.replace("_", " "), [use.name.replace("_", " ") for use in result.data]
    return table if table in used else f"{table} ({', '.join(used)})"
