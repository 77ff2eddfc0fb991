"""Curves over a length: what a layer costs, and perplexity beyond the context of training."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from projects.cab.figures.common import measured_rows, note
from regard_lab.experiment.results import Result, Row
from regard_lab.report import hover
from regard_lab.report.figures import (
    LINES,
    Results,
    colour,
    data_ticks,
    house_style,
    look,
    plain_log_ticks,
    seed_titles,
)

SMALL: dict[str, Any] = {"markersize": 3}
CONTEXTS = {"perplexity_quarter": "¼", "perplexity_half": "½", "perplexity": "1", "perplexity_double": "2"}


def costs(results: Results) -> Figure | None:
    """Time and memory of one layer by length: mechanisms in colour, softmax attention unfused (dashed) and fused (dotted). Mean over seeds."""
    if (measured := measured_rows(results, "efficiency")) is None:
        return None
    result, rows = measured
    with house_style():
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        for axes, quantity, title in zip(
            figure.subplots(1, 2), ("time_ms", "peak_mib"), ("time (ms)", "memory (MiB)"), strict=True
        ):
            for row in rows:
                lengths, own = curve(result, row, quantity, "own")
                axes.loglog(lengths, own, marker=".", color=colour(row.key), label=str(row.key["attention"]))
            for form, line in (("unfused", "--"), ("fused", ":")):
                lengths, values = curve(result, rows[0], quantity, form)
                axes.loglog(lengths, values, line, color="black", linewidth=1.8, label=f"softmax, {form}")
            data_ticks(axes.xaxis, lengths, "{:,.0f}")
            plain_log_ticks(axes.yaxis)
            axes.set_xlabel("tokens")
            axes.set_ylabel(title)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
        note(figure, result)
    return figure


def contexts(results: Results) -> Figure | None:
    """Perplexity of the language model at a quarter, half, once and twice the context that it was trained on. Dots are seeds, lines their mean."""
    if (measured := measured_rows(results, "lm")) is None:
        return None
    result, rows = measured
    with house_style():
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = figure.subplots()
        for place, row in enumerate(rows):
            values = [row.metrics[name].mean for name in CONTEXTS]
            name = str(row.key["attention"])
            axes.plot(range(len(values)), values, LINES[place % 2], color=colour(row.key), label=name)
            for at, metric in enumerate(CONTEXTS):
                (dots,) = axes.plot(
                    [at] * row.metrics[metric].n, row.metrics[metric].values, "o", alpha=0.45, **SMALL, **look(row.key)
                )
                hover.titles(dots, seed_titles(row, row.metrics[metric]))
        axes.set_xticks(range(len(CONTEXTS)), list(CONTEXTS.values()))
        axes.set_xlabel("context, over that of training")
        axes.set_ylabel("perplexity per character")
        figure.legend(loc="outside right center")
        note(figure, result)
    return figure


def curve(result: Result, row: Row, quantity: str, form: str) -> tuple[list[int], list[float]]:
    """A row's cost by length, mean over its seeds.

    Args:
        result: The result of the table `efficiency`.
        row: A row of it.
        quantity: `time_ms` or `peak_mib`.
        form: `own`, `unfused` or `fused`.

    Returns:
        Lengths and costs.
    """
    shown = [result.records[cell]["exhibits"] for cell in row.cells]
    values = np.mean([cell[quantity][form] for cell in shown], axis=0)
    costs: list[float] = np.maximum(values, 1e-3).tolist()
    return shown[0]["lengths"], costs
