"""The figures of the generators: the same pictures at less and less memory, scores over memory, and distance over training."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from regard_lab.common.formatting import label
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
    plain_log_ticks,
    scale_note,
    seed_titles,
)


def biggan_degradation(results: Results) -> Figure | None:
    """The same latents and classes with SMYRF at less and less score memory, and dense (100 %), nothing retrained; one
    row per class. The first seed's generator."""
    result = results.best("biggan_swap")
    shown = [(row, picture) for row in _one_per_memory(result) if (picture := _picture(result, row))] if result else []
    if result is None or not shown:
        return None
    with house_style():
        figure = Figure(figsize=(0.95 * len(shown), 4.1))
        grid: Any = figure.subplots(1, len(shown), squeeze=False, gridspec_kw={"wspace": 0.06})
        for axes, (row, picture) in zip(grid[0], shown, strict=True):
            sheet = decode(picture)
            axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.grid(visible=False)
            for spine in axes.spines.values():
                spine.set_visible(False)
            axes.set_xlabel(f"{row.metrics['score_memory'].mean:.3g} %")
        grid[0][len(shown) // 2].set_title(scale_note(result, [1]), fontsize=8, color="#555555")
        figure.supxlabel("score memory", fontsize=9, y=0.04)
    return figure


def biggan_swap(results: Results) -> Figure | None:
    """Fréchet distance of a generator trained with dense attention and run with SMYRF, over score memory, one line per
    number of rounds; dashed grey: the same generator with dense attention. Small dots are seeds, lines their mean."""
    result = results.best("biggan_swap")
    rows = [row for row in result.rows if row.key.get("trained") == "softmax" and row.metrics] if result else []
    swapped = [row for row in rows if row.key["attention"] == "smyrf"]
    if result is None or not swapped:
        return None
    with house_style():
        figure = Figure(figsize=(6.4, 3.6))
        axes: Axes = figure.subplots()
        for number, rounds in enumerate(sorted({row.key["rounds"] for row in swapped})):
            line = sorted(
                (row for row in swapped if row.key["rounds"] == rounds),
                key=lambda row: row.metrics["score_memory"].mean,
            )
            _over_memory(axes, line, f"{rounds} round{'s' * (rounds != 1)}", LINES[number % len(LINES)])
        for row in rows:
            if row.key["attention"] == "softmax":
                axes.axhline(row.metrics["fid"].mean, color=COLOURS["softmax"], linestyle="--", label="dense")
        axes.set_xscale("log", base=2)
        memories = sorted({row.metrics["score_memory"].mean for row in swapped})
        data_ticks(axes.xaxis, memories, "{:.3g}")
        axes.set_xlabel("score memory (%)")
        axes.set_ylabel("Fréchet distance")
        axes.legend(loc="best")
        axes.set_title(
            scale_note(result, [row.metrics["fid"].n for row in rows]), loc="left", fontsize=8, color="#555555"
        )
    return figure


def celeba_training(results: Results) -> Figure | None:
    """Fréchet distance over training, of the averaged generator. Small dots are seeds, lines their mean."""
    result = results.best("celeba_training")
    rows = [row for row in result.rows if row.curves.get("fid") and row.curves["fid"].values] if result else []
    if result is None or not rows:
        return None
    with house_style():
        figure = Figure(figsize=(6.4, 3.6))
        axes: Axes = figure.subplots()
        for row in rows:
            _curve(axes, row, _steps(result, row), LINES[sum(_same(row, other) for other in rows[: rows.index(row)])])
        axes.set_xlabel("generator steps")
        data_ticks(axes.xaxis, {step for row in rows for step in _steps(result, row)}, "{:,.0f}")
        axes.set_ylabel("Fréchet distance")
        axes.set_yscale("log")
        plain_log_ticks(axes.yaxis)
        axes.legend(loc="best")
        axes.set_title(
            scale_note(result, [len(row.curves["fid"].values) for row in rows]),
            loc="left",
            fontsize=8,
            color="#555555",
        )
    return figure


def _one_per_memory(result: Result) -> list[Row]:
    """The rows of the generator trained dense, the least memory first; of several with the same memory the one nearest to two rounds."""
    rows = [row for row in result.rows if row.key.get("trained") == "softmax" and row.metrics]
    rows.sort(key=lambda row: (row.metrics["score_memory"].mean, abs(int(row.key.get("rounds", 2)) - 2)))
    first: dict[float, Row] = {}
    for row in rows:
        first.setdefault(row.metrics["score_memory"].mean, row)
    return list(first.values())


def _picture(result: Result, row: Row) -> str | None:
    """The exhibit of a row's first seed."""
    if not row.cells:
        return None
    picture: str | None = result.records[row.cells[0]].get("exhibits", {}).get("pictures")
    return picture


def _over_memory(axes: Axes, rows: list[Row], name: str, line: str) -> None:
    memories = [row.metrics["score_memory"].mean for row in rows]
    means = [row.metrics["fid"].mean for row in rows]
    axes.plot(memories, means, line, color=COLOURS["smyrf"], marker="o", markersize=4, linewidth=1.6, label=name)
    for memory, row in zip(memories, rows, strict=True):
        values = row.metrics["fid"].values
        (dots,) = axes.plot([memory] * len(values), values, "o", color=COLOURS["smyrf"], markersize=3, alpha=0.4, mew=0)
        hover.titles(dots, seed_titles(row, row.metrics["fid"]))


def _steps(result: Result, row: Row) -> list[int]:
    """The generator steps of a row's snapshots, from its config."""
    training = result.records[row.cells[0]]["identity"]["config"]["gan"]["training"]
    between = training["chunks"] // training["snapshots"] * training["chunk_steps"]
    return [between * number for number in range(1, training["snapshots"] + 1)]


def _same(row: Row, other: Row) -> bool:
    return row.key["attention"] == other.key["attention"]


def _curve(axes: Axes, row: Row, steps: list[int], line: str) -> None:
    seeds = row.curves["fid"].values
    means = [sum(values) / len(values) for values in zip(*seeds, strict=True)]
    colour = COLOURS[str(row.key["attention"])]
    axes.plot(steps, means, line, color=colour, marker="o", markersize=4, linewidth=1.6, label=label(row.key))
    for values in seeds if len(seeds) > 1 else []:
        axes.plot(steps, values, "o", color=colour, markersize=3, alpha=0.4, mew=0)


FIGURES: dict[str, Maker] = {
    "biggan_swap": biggan_swap,
    "biggan_degradation": biggan_degradation,
    "celeba_training": celeba_training,
}
