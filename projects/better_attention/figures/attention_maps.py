"""Attention maps of Standard and Super on two digits and one review, read from the records of seed 0's cells."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from projects.better_attention.analyses.attention_maps import unpacked
from regard_lab.common import images
from regard_lab.experiment.results import Result
from regard_lab.report.figures import QUICK, Results, house_style

COLUMNS = (  # attention, which matrix, title
    ("softmax", "weights", "softmax: weights"),
    ("super", "weights", "super: weights"),
    ("super", "effective", "super: weights × W$^A$"),
)


def digit_maps(results: Results) -> Figure | None:
    """Two test digits: how much attention each patch receives in the last block, the mean over heads and queries.
    Super's values are effectively weighted by its weights times W^A, which may be negative (blue). Each map has its own
    scale, white is 0."""
    result = results.best("mnist")
    shown = _shown(result)
    if result is None or shown is None:
        return None
    with house_style():
        figure = Figure(figsize=(7.2, 1.9 * len(shown["softmax"]) + 0.3), layout="constrained")
        grid = figure.subplots(len(shown["softmax"]), 1 + len(COLUMNS), squeeze=False)
        for index, line in enumerate(grid):
            picture = images.decode(shown["softmax"][index]["picture"])
            _bare(line[0]).imshow(picture, cmap="gray_r")
            for axes, (attention, which, title) in zip(line[1:], COLUMNS, strict=True):
                received = unpacked(shown[attention][index][which]).mean(0)
                side = round(len(received) ** 0.5)
                _heat(_bare(axes), received.reshape(side, side))
                if index == 0:
                    axes.set_title(title, fontsize=8)
        grid[0][0].set_title(_note(result), loc="left", fontsize=8, color="#555555")
    return figure


def review_maps(results: Results) -> Figure | None:
    """One test review of IMDB: rows attend to columns, the mean over heads. Super's values are effectively weighted by
    its weights times W^A, which may be negative (blue). Each map has its own scale, white is 0; its range stands above
    it. A map of one red attends to all words alike."""
    result = results.best("imdb")
    shown = _shown(result)
    if result is None or shown is None:
        return None
    words = shown["softmax"][0]["words"]
    with house_style():
        figure = Figure(figsize=(11.4, 4.6), layout="constrained")
        for axes, (attention, which, title) in zip(figure.subplots(1, len(COLUMNS)), COLUMNS, strict=True):
            values = unpacked(shown[attention][0][which])
            _heat(axes, values)
            axes.set_xticks(range(len(words)), words, rotation=90, fontsize=6)
            axes.set_yticks(range(len(words)), words if axes.get_subplotspec().is_first_col() else [], fontsize=6)
            axes.grid(visible=False)
            low, high = values.min(), values.max()
            axes.set_title(f"{title}\n{low:.3f} to {high:.3f}; 1/n is {1 / len(words):.3f}", fontsize=8)
        figure.suptitle(_note(result), x=0.01, ha="left", fontsize=8, color="#555555")
    return figure


def _shown(result: Result | None) -> dict[str, list[dict[str, Any]]] | None:
    """The maps in the record of each mechanism's seed 0, or `None` if one is missing."""
    if result is None:
        return None
    shown = {}
    for attention in ("softmax", "super"):
        row = result.row(attention=attention)
        records = [result.records[cell] for cell in row.cells] if row else []
        stored = [maps for record in records if (maps := record.get("exhibits", {}).get("attention_maps"))]
        if not stored:
            return None
        shown[attention] = stored[0]
    return shown


def _heat(axes: Axes, values: NDArray[Any]) -> None:
    limit = float(np.abs(values).max()) or 1.0
    axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)


def _bare(axes: Axes) -> Axes:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    return axes


def _note(result: Result) -> str:
    return QUICK if result.scale == "quick" else f"{result.scale} scale, seed 0"
