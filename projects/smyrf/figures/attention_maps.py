"""The figures of the analysis: captured mass by hash, spectra of attention maps, sparsity, clusters over a picture."""

from collections.abc import Iterable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from regard_lab.common.images import decode
from regard_lab.experiment.results import Result, Row
from regard_lab.report import hover
from regard_lab.report.figures import (
    COLOURS,
    LINES,
    Maker,
    Results,
    data_ticks,
    house_style,
    scale_note,
    seed_dots,
    seed_titles,
)

# The last is drawn on top. Only the asymmetric hash is SMYRF's, and has its colour; the others are controls, and grey.
SCHEMES = {"random": "#b5b5b5", "reformer": "#000000", "plain": "#767676", "asymmetric": COLOURS["smyrf"]}
MODELS = {"encoder": "text encoder", "vit": "vision transformer", "gan": "generator"}


def lsh_mass(results: Results) -> Figure | None:
    """Dense attention mass on the keys in a query's clusters, by hash, over score memory. Small dots are seeds, lines their mean."""
    return _over_memory(results.best("lsh_ablation"), "captured_mass", "captured mass (%)")


def lsh_error(results: Results) -> Figure | None:
    """Error of SMYRF's output relative to dense attention, by hash, over score memory. Small dots are seeds, lines their mean."""
    return _over_memory(results.best("lsh_ablation"), "attention_error", "attention error")


def singular_values(results: Results) -> Figure | None:
    """Singular values of dense attention maps, one line per head, coloured by layer; the first seed's input."""
    result = results.best("singular_values")
    shown = [(row, exhibits) for row, exhibits in _exhibits(result) if "curves" in exhibits]
    if result is None or not shown:
        return None
    with house_style():
        figure = Figure(figsize=(3.1 * len(shown), 3.0))
        for axes, (row, exhibits) in zip(_row_of_axes(figure, len(shown)), shown, strict=True):
            _spectra(axes, exhibits)
            axes.set_title(
                f"{MODELS.get(str(row.key['model']), row.key['model'])}, {row.key['tokens']} tokens", fontsize=9
            )
            axes.set_xlabel("index")
        figure.axes[0].set_ylabel("singular value")
        figure.axes[0].legend(loc="upper right", title="layer")
        _note(figure, result)
    return figure


def sparsity(results: Results) -> Figure | None:
    """Weights of dense attention maps below the mean weight 1/N, mean over maps. Each dot is a seed, the bar their mean."""
    return seed_dots(results.best("sparsity"), "under_mean", "weights below the mean")


def cluster_membership(results: Results) -> Figure | None:
    """Positions of a picture by the cluster of their queries in one hash round, one row per head; like colours are near
    hashes. The last row: which of the first 64 queries (rows) share a cluster with which of the first 64 keys
    (columns), black. The first seed's picture, of the generator the one that it generates."""
    result = results.best("cluster_membership")
    shown = [(row, exhibits) for row, exhibits in _exhibits(result) if "heads" in exhibits]
    if result is None or not shown:
        return None
    models = list(dict.fromkeys(str(row.key["model"]) for row, _ in shown))
    heads = max(len(exhibits["heads"]) for _, exhibits in shown)
    with house_style():
        figure = Figure(figsize=(1.55 * (len(models) + len(shown)), 1.6 * (heads + 1)))
        grid: Any = figure.subplots(
            heads + 1, len(models) + len(shown), squeeze=False, gridspec_kw={"hspace": 0.08, "wspace": 0.08}
        )
        for axes in grid.flat:
            axes.set_axis_off()
        columns = iter(grid.T)
        for model in models:
            of_model = [(row, exhibits) for row, exhibits in shown if row.key["model"] == model]
            first = next(columns)[0]
            if "picture" in of_model[0][1]:
                first.imshow(decode(of_model[0][1]["picture"]), cmap="gray", vmin=0, vmax=255)
            first.set_title(MODELS.get(model, model), fontsize=8)
            for (row, exhibits), column in zip(of_model, columns, strict=False):
                column[0].set_title(f"{row.key['scheme']}\n{row.metrics['clusters'].mean:.0f} clusters", fontsize=8)
                for axes, picture in zip(column, exhibits["heads"], strict=False):
                    axes.imshow(decode(picture), interpolation="nearest")
                column[-1].imshow(decode(exhibits["matrix"]), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        _note(figure, result)
    return figure


def _over_memory(result: Result | None, metric: str, title: str) -> Figure | None:
    rows = [row for row in result.rows if metric in row.metrics] if result else []
    if result is None or not rows:
        return None
    models = list(dict.fromkeys(str(row.key["model"]) for row in rows))
    rounds = sorted({int(row.key["rounds"]) for row in rows})
    with house_style():
        figure = Figure(figsize=(3.3 * len(models), 3.3))
        for axes, model in zip(_row_of_axes(figure, len(models)), models, strict=True):
            for scheme, colour in SCHEMES.items():
                for number, line in zip(rounds, LINES, strict=False):
                    key = {"model": model, "scheme": scheme, "rounds": number}
                    _line(axes, [row for row in rows if key.items() <= row.key.items()], metric, colour, line)
            axes.set_title(MODELS.get(model, model), fontsize=9)
            axes.set_xscale("log", base=2)
            memories = (row.metrics["score_memory"].mean for row in rows if row.key["model"] == model)
            data_ticks(axes.xaxis, _apart(memories), "{:.3g}", room=0.1)
            axes.set_xlabel("score memory (% of dense)")
        figure.axes[0].set_ylabel(title)
        handles = [Line2D([], [], color=colour, label=scheme) for scheme, colour in SCHEMES.items()]
        lines = zip(rounds, LINES, strict=False)
        handles += [Line2D([], [], color="#888888", ls=line, label=f"{n} rounds") for n, line in lines]
        figure.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5))
        _note(figure, result)
    return figure


def _apart(values: Iterable[float]) -> list[float]:
    """Ticks: of values that would overprint one another, the smallest."""
    ticks: list[float] = []
    for value in sorted(values):
        if not ticks or value > 1.2 * ticks[-1]:
            ticks.append(value)
    return ticks


def _line(axes: Axes, rows: list[Row], metric: str, colour: str, line: str) -> None:
    """One scheme in one number of rounds; `plain` is wide, because it often runs below `asymmetric`."""
    width = 3.2 if colour == SCHEMES["plain"] else 1.4
    rows = sorted(rows, key=lambda row: row.metrics["score_memory"].mean)
    memory = [row.metrics["score_memory"].mean for row in rows]
    for x, row in zip(memory, rows, strict=True):
        values = row.metrics[metric].values
        (dots,) = axes.plot([x] * len(values), values, "o", color=colour, markersize=2, alpha=0.35, mew=0)
        hover.titles(dots, seed_titles(row, row.metrics[metric]))
    axes.plot(memory, [row.metrics[metric].mean for row in rows], line, color=colour, linewidth=width)


def _spectra(axes: Axes, exhibits: dict[str, Any]) -> None:
    layers = exhibits["layers"]
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, max(len(layers), 2)))
    named = {0, len(layers) // 2, len(layers) - 1}
    for number, (layer, heads) in enumerate(zip(layers, exhibits["curves"], strict=True)):
        for head, values in enumerate(heads):
            label = str(layer) if head == 0 and number in named else None
            axes.plot(exhibits["index"], values, color=colours[number], linewidth=0.7, alpha=0.8, label=label)
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set_ylim(bottom=0)


def _exhibits(result: Result | None) -> list[tuple[Row, dict[str, Any]]]:
    """Every row that has a first seed, with the exhibits of its cell."""
    rows = [row for row in result.rows if row.seeds and row.seeds[0] == 0] if result else []
    return [(row, result.records[row.cells[0]].get("exhibits") or {}) for row in rows] if result else []


def _row_of_axes(figure: Figure, number: int) -> list[Axes]:
    axes: Any = figure.subplots(1, number, squeeze=False)
    return list(axes[0])


def _note(figure: Figure, result: Result) -> None:
    """Scale, seeds and data above the figure, as every figure here has them."""
    counts = [len(row.seeds) for row in result.rows if row.seeds]
    figure.suptitle(
        scale_note(result, counts),
        x=0.125,
        ha="left",
        y=0.98 + 0.12 / figure.get_figheight(),
        fontsize=8,
        color="#555555",
    )


FIGURES: dict[str, Maker] = {
    "lsh_mass": lsh_mass,
    "lsh_error": lsh_error,
    "singular_values": singular_values,
    "sparsity": sparsity,
    "cluster_membership": cluster_membership,
}
