"""Curves over a length: what a layer costs, and perplexity beyond the context of training."""

from typing import Any

import numpy as np
from matplotlib.artist import Artist
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
CONTEXTS = {
    "perplexity_eighth": 1,
    "perplexity_quarter": 2,
    "perplexity_three_eighths": 3,
    "perplexity_half": 4,
    "perplexity_five_eighths": 5,
    "perplexity_three_quarters": 6,
    "perplexity_seven_eighths": 7,
    "perplexity": 8,
    "perplexity_double": 16,
}  # eighths of the context in training
TICKS = {1: "⅛", 2: "¼", 4: "½", 8: "1", 16: "2"}


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
    """Perplexity of the language model from an eighth to twice the context of its training, by its positions. Dots are seeds, lines their mean."""
    if (measured := measured_rows(results, "lm")) is None:
        return None
    result, rows = measured
    rows = [row for row in rows if "positions" in row.key and set(CONTEXTS) <= set(row.metrics)]
    if not rows:  # of a table as it was before, in characters and with sines alone
        return None
    kinds = list(dict.fromkeys(str(row.key["positions"]) for row in rows))
    with house_style():
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        shown: dict[str, Artist] = {}
        for axes, kind in zip(figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0], kinds, strict=True):
            own = [row for row in rows if row.key["positions"] == kind]
            for place, row in enumerate(own):
                name = " ".join(str(row.key[part]) for part in ("attention", "variant") if part in row.key)
                values = [row.metrics[metric].mean for metric in CONTEXTS]
                line = LINES[1 if "variant" in row.key else place % 2]
                (shown[name],) = axes.plot(list(CONTEXTS.values()), values, line, color=colour(row.key), label=name)
                for metric, at in CONTEXTS.items():
                    seeds = row.metrics[metric]
                    (dots,) = axes.plot([at] * seeds.n, seeds.values, "o", alpha=0.45, **SMALL, **look(row.key))
                    hover.titles(dots, seed_titles(row, seeds))
            axes.set_xscale("log", base=2)
            axes.set_xticks(list(TICKS), list(TICKS.values()))
            axes.minorticks_off()
            axes.set_title(f"{kind} positions", fontsize=9)
            axes.set_xlabel("context, over that of training")
        figure.axes[0].set_ylabel("perplexity per subword")
        figure.legend(list(shown.values()), list(shown), loc="outside right center")
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
