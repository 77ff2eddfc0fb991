"""The figures of pre-trained models with SMYRF swapped in: what they keep of their dense outputs and decisions, over
score memory; and beside other methods at equal operations."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from regard_lab.experiment.results import Result, Row
from regard_lab.report import hover
from regard_lab.report.figures import COLOURS, Maker, Results, data_ticks, house_style, scale_note, seed_titles
from regard_lab.report.figures import colour as mechanism_colour

MODELS = {"vit": "ViT-S/14, 1,370 tokens", "smollm2": "SmolLM2-135M, causal, 1,024", "minilm": "MiniLM-L6, 128"}
SHORTER = {"vit": "ViT-S/14, 257 tokens", "smollm2": "SmolLM2-135M, causal, 1,024", "minilm": "MiniLM-L6, 128"}
MARKERS = {2: "o", 4: "s", 8: "D"}  # by rounds


def swap_similarity(results: Results) -> Figure | None:
    """Similarity of a trained model's outputs to those with dense attention, over score memory; nothing is retrained.
    Small dots are seeds, large marks their mean; hollow where a key that a query meets in two rounds counts once, half
    filled where a pair weighs 1 / P(met). Circles are 2 rounds, squares 4, diamonds 8."""
    return _over_memory(results.best("pretrained_swap"), "cosine", "similarity to dense outputs")


def swap_agreement(results: Results) -> Figure | None:
    """Decisions (classes of a linear probe, likeliest next tokens) that are the same as with dense attention, over
    score memory; nothing is retrained. Marks as in the figure of similarity."""
    return _over_memory(results.best("pretrained_swap"), "agreement", "decisions as with dense (%)")


def _over_memory(result: Result | None, metric: str, title: str) -> Figure | None:
    rows = [row for row in result.rows if metric in row.metrics and row.key["attention"] == "smyrf"] if result else []
    if result is None or not rows:
        return None
    models = list(dict.fromkeys(str(row.key["model"]) for row in rows))
    with house_style():
        figure = Figure(figsize=(2.4 * len(models) + 0.8, 3.0))
        grid: Any = figure.subplots(1, len(models), sharey=True, squeeze=False)
        for axes, model in zip(grid[0], models, strict=True):
            for row in rows:
                if row.key["model"] == model:
                    _mark(axes, row, metric)
            axes.set_title(MODELS.get(model, model), fontsize=9)
            axes.set_xlabel("score memory (%)")
            axes.set_xscale("log", base=2)
            memories = (row.metrics["score_memory"].mean for row in rows if row.key["model"] == model)
            data_ticks(axes.xaxis, memories, "{:.3g}", room=0.12)
        grid[0][0].set_ylabel(title)
        figure.suptitle(
            scale_note(result, [row.metrics[metric].n for row in rows]), x=0.02, ha="left", fontsize=8, color="#555555"
        )
        figure.tight_layout()
    return figure


def _mark(axes: Axes, row: Row, metric: str) -> None:
    colour, memory = COLOURS["smyrf"], row.metrics["score_memory"].mean
    values = row.metrics[metric]
    fill = "none" if row.key.get("dedup") else "left" if row.key.get("hash_rounds") else "full"
    (dots,) = axes.plot([memory] * values.n, values.values, ".", color=colour, markersize=3, alpha=0.6, mew=0)
    hover.titles(dots, seed_titles(row, values))
    marker = MARKERS.get(int(row.key["rounds"]), "^")
    axes.plot(memory, values.mean, marker, color=colour, markersize=7, fillstyle=fill, mew=1.3)


def drop_in(results: Results) -> Figure | None:
    """Similarity of a trained model's outputs to those with dense attention, by the method in its place, at 50 % (filled)
    and 25 % (hollow) of dense attention's operations; nothing is retrained. Small dots are seeds, large marks their mean.
    The grey line is even weights: every key weighs the same, and nothing is scored."""
    result = results.best("drop_in")
    rows = [row for row in result.rows if "cosine" in row.metrics and "share" in row.key] if result else []
    if result is None or not rows:
        return None
    models = list(dict.fromkeys(str(row.key["model"]) for row in rows))
    methods = list(dict.fromkeys(str(row.key["method"]) for row in rows))[::-1]
    with house_style():
        figure = Figure(figsize=(2.6 * len(models) + 1.2, 0.28 * len(methods) + 1.3))
        grid: Any = figure.subplots(1, len(models), sharey=True, squeeze=False)
        for axes, model in zip(grid[0], models, strict=True):
            for row in rows:
                if row.key["model"] == model:
                    _beside(axes, row, methods.index(str(row.key["method"])))
            for row in result.rows:
                if row.key["model"] == model and row.key["method"] == "even" and "cosine" in row.metrics:
                    axes.axvline(row.metrics["cosine"].mean, color="#999999", linewidth=1, zorder=0)
            axes.set_title(SHORTER.get(model, model), fontsize=9)
            axes.set_xlabel("similarity to dense outputs")
        grid[0][0].set_yticks(range(len(methods)), [method.replace("_", " ") for method in methods])
        figure.suptitle(
            scale_note(result, [row.metrics["cosine"].n for row in rows]),
            x=0.02,
            ha="left",
            fontsize=8,
            color="#555555",
        )
        figure.tight_layout()
    return figure


def _beside(axes: Axes, row: Row, place: int) -> None:
    method = str(row.key["method"])
    name, values = method.removesuffix("_once"), row.metrics["cosine"]  # other hashes and random clusters are greys
    colour = mechanism_colour({"attention": name})
    whole = row.key["share"] == 50
    height = place + (0.12 if whole else -0.12)
    (dots,) = axes.plot(values.values, [height] * values.n, ".", color=colour, markersize=3, alpha=0.6, mew=0)
    hover.titles(dots, seed_titles(row, values))
    axes.plot(values.mean, height, "o", color=colour, markersize=6, fillstyle="full" if whole else "none", mew=1.3)


FIGURES: dict[str, Maker] = {
    "swap_similarity": swap_similarity,
    "swap_agreement": swap_agreement,
    "drop_in": drop_in,
}
