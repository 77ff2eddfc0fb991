"""The figures of CAB: leaderboards recomputed, correlations recomputed, costs by length, our index, contexts, and the benefit of attention."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from regard_lab.experiment.results import Result, Row
from regard_lab.report.figures import LINES, Maker, Results, colour, house_style, scale_words

PATTERNS = ("noncausal_self", "causal_self", "noncausal_cross", "causal_cross")
CONTEXTS = {"perplexity_quarter": "¼", "perplexity_half": "½", "perplexity": "1", "perplexity_double": "2"}


def leaderboards(results: Results) -> Figure | None:
    """The published index of every attention and task, recomputed from the published raw metrics."""
    found = [(pattern, result) for pattern in PATTERNS if (result := results.best(f"published_{pattern}"))]
    if not found:
        return None
    with house_style():
        figure = Figure(figsize=(9.6, 4.2), layout="constrained")
        widths = [len(result.rows[0].metrics) - 1 for _, result in found]
        for axes, (pattern, result) in zip(
            np.atleast_1d(figure.subplots(1, len(found), width_ratios=widths)), found, strict=True
        ):
            tasks = [name for name in result.rows[0].metrics if name != "largest_difference"]
            values = np.array([[row.metrics[task].mean for task in tasks] for row in result.rows])
            heat(axes, values, [str(row.key["attention"]) for row in result.rows], tasks, limit=2.0)
            axes.set_title(pattern.replace("_", " "), fontsize=9)
    return figure


def correlations(results: Results) -> Figure | None:
    """Correlations of tasks recomputed from the published index, the slips undone. Empty: fewer than two attentions in common."""
    result = results.best("correlations")
    pairs = {}
    for record in result.records.values() if result else ():
        pairs |= record["exhibits"]["tasks"]
    if not pairs:
        return None
    names = sorted(
        {name for pair in pairs for name in pair.split(" × ")},
        key=lambda name: (PATTERNS.index(name.partition(".")[0]), name),
    )
    values = np.full((len(names), len(names)), np.nan)
    for pair, value in pairs.items():
        first, second = (names.index(name) for name in pair.split(" × "))
        values[first, second] = values[second, first] = value
    np.fill_diagonal(values, 1)
    with house_style():
        figure = Figure(figsize=(6.8, 5.6), layout="constrained")
        labels = [
            f"{task} ({pattern.replace('_', ' ')})" for pattern, _, task in (name.partition(".") for name in names)
        ]
        heat(figure.subplots(), values, labels, labels, limit=1.0)
    return figure


def costs(results: Results) -> Figure | None:
    """Time and memory of one layer by length: mechanisms in colour, softmax attention unfused (dashed) and fused (dotted). Mean over seeds."""
    result = results.best("efficiency")
    rows = measured(result) if result else []
    if result is None or not rows:
        return None
    with house_style():
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        for axes, what, title in zip(
            figure.subplots(1, 2), ("time_ms", "peak_mib"), ("time (ms)", "memory (MiB)"), strict=True
        ):
            for row in rows:
                lengths, own = curve(result, row, what, "own")
                axes.loglog(lengths, own, color=colour(row.key), label=str(row.key["attention"]))
            for form, line in (("unfused", "--"), ("fused", ":")):
                lengths, values = curve(result, rows[0], what, form)
                axes.loglog(lengths, values, line, color="black", linewidth=1.8, label=f"softmax, {form}")
            axes.set_xticks(lengths, [str(n) for n in lengths])
            axes.minorticks_off()
            axes.set_xlabel("tokens")
            axes.set_ylabel(title)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
        note(figure, result)
    return figure


def index(results: Results) -> Figure | None:
    """Our own compositional index of each mechanism in each pattern, best first. A dot is a seed, the bar their mean."""
    result = results.best("index")
    rows = measured(result) if result else []
    if result is None or not rows:
        return None
    with house_style():
        figure = Figure(figsize=(9.6, 3.6), layout="constrained")
        for axes, pattern in zip(figure.subplots(1, 4), PATTERNS, strict=True):
            own = sorted(
                (row for row in rows if row.key["pattern"] == pattern), key=lambda row: -row.metrics["index"].mean
            )
            for place, row in enumerate(own):
                metric = row.metrics["index"]
                axes.plot(
                    metric.values, [place] * metric.n, "o", color=colour(row.key), markersize=4, mew=0, alpha=0.75
                )
                axes.plot([metric.mean] * 2, [place - 0.32, place + 0.32], color=colour(row.key), linewidth=2.2)
            axes.set_yticks(range(len(own)), [str(row.key["attention"]) for row in own], fontsize=8)
            axes.set_ylim(max(len(own), 1) - 0.4, -0.6)
            axes.set_title(pattern.replace("_", " "), fontsize=9)
            axes.set_xlabel("index")
        note(figure, result)
    return figure


def contexts(results: Results) -> Figure | None:
    """Perplexity of the language model at a quarter, half, once and twice the context that it was trained on; mean over seeds."""
    result = results.best("lm")
    rows = measured(result) if result else []
    if result is None or not rows:
        return None
    with house_style():
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = figure.subplots()
        for place, row in enumerate(rows):
            values = [row.metrics[name].mean for name in CONTEXTS]
            axes.plot(
                range(len(values)), values, LINES[place % 2], color=colour(row.key), label=str(row.key["attention"])
            )
        axes.set_xticks(range(len(CONTEXTS)), list(CONTEXTS.values()))
        axes.set_xlabel("context, over that of training")
        axes.set_ylabel("perplexity per character")
        figure.legend(loc="outside right center")
        note(figure, result)
    return figure


def benefit(results: Results) -> Figure | None:
    """Our index with softmax attention (full) and with the layer left out (empty), in each pattern; mean over seeds."""
    result = results.best("benefit")
    rows = measured(result) if result else []
    if result is None or not rows:
        return None
    with house_style():
        figure = Figure(figsize=(6.4, 1.0 + 0.4 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for place, row in enumerate(rows):
            own, without = (row.metrics[name].mean for name in ("with_attention", "without"))
            axes.plot([own, without], [place, place], color="#999999", linewidth=1.4)
            axes.plot(own, place, "o", color="#4d4d4d", label="softmax attention" if place == 0 else None)
            axes.plot(without, place, "o", color="#4d4d4d", mfc="white", label="without" if place == 0 else None)
        axes.set_yticks(range(len(rows)), [str(row.key["pattern"]).replace("_", " ") for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel("index")
        axes.legend(loc="best")
        note(figure, result)
    return figure


def heat(axes: Axes, values: np.ndarray, rows: Sequence[str], columns: Sequence[str], limit: float) -> None:
    """A matrix of signed numbers in colour, each written in its field."""
    axes.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    axes.set_xticks(range(len(columns)), list(columns), fontsize=7, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), list(rows), fontsize=7)
    axes.grid(visible=False)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = abs(value) > 0.65 * limit
            axes.text(
                column,
                row,
                f"{value:.2f}".replace("-", "−"),
                ha="center",
                va="center",
                fontsize=6,
                color="white" if dark else "black",
            )


def measured(result: Result) -> list[Row]:
    """The rows that have numbers."""
    return [row for row in result.rows if row.metrics]


def curve(result: Result, row: Row, what: str, form: str) -> tuple[list[int], list[float]]:
    """A row's cost by length, mean over its seeds."""
    shown = [result.records[cell]["exhibits"] for cell in row.cells]
    values = np.mean([each[what][form] for each in shown], axis=0)
    return shown[0]["lengths"], np.maximum(values, 1e-3).tolist()


def note(figure: Figure, result: Result) -> None:
    """Which scale, and that quick is no evidence."""
    figure.suptitle(scale_words(result), fontsize=8, color="#555555", x=0.01, ha="left")


FIGURES: dict[str, Maker] = {
    "leaderboards": leaderboards,
    "correlations": correlations,
    "costs": costs,
    "index": index,
    "contexts": contexts,
    "benefit": benefit,
}
