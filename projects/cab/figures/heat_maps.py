"""Heat maps: the published leaderboards and the correlations of tasks, both recomputed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from regard.common.patterns import ALL_PATTERNS
from regard_lab.report.figures import Results, house_style


def leaderboards(results: Results) -> Figure | None:
    """The published index of every attention and task, recomputed from the published raw metrics."""
    shown = [(pattern, result) for pattern in ALL_PATTERNS if (result := results.best(f"published_{pattern}"))]
    if not shown:
        return None
    with house_style():
        figure = Figure(figsize=(9.6, 4.2), layout="constrained")
        widths = [len(result.rows[0].metrics) - 1 for _, result in shown]
        for axes, (pattern, result) in zip(
            np.atleast_1d(figure.subplots(1, len(shown), width_ratios=widths)), shown, strict=True
        ):
            tasks = [name for name in result.rows[0].metrics if name != "largest_difference"]
            values = np.array([[row.metrics[task].mean for task in tasks] for row in result.rows])
            heat(axes, values, [str(row.key["attention"]) for row in result.rows], tasks, limit=2.0)
            axes.set_title(pattern.replace("_", " "), fontsize=9)
    return figure


def correlations(results: Results) -> Figure | None:
    """Correlations of tasks recomputed from the published index, the slips undone. Empty: fewer than two attentions in common."""
    result = results.best("correlations")
    pairs: dict[str, float] = {}
    for record in result.records.values() if result else ():
        pairs |= record["exhibits"]["tasks"]
    if not pairs:
        return None
    names = sorted(
        {name for pair in pairs for name in pair.split(" × ")},
        key=lambda name: (ALL_PATTERNS.index(name.partition(".")[0]), name),
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


def heat(axes: Axes, values: NDArray[Any], rows: Sequence[str], columns: Sequence[str], limit: float) -> None:
    """Draw a matrix of signed numbers in colour, each written in its field.

    Args:
        axes: Where it is drawn.
        values: `(rows, columns)`; NaN leaves a field empty.
        rows: The labels of the rows.
        columns: The labels of the columns.
        limit: The absolute value of the strongest colour.
    """
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
