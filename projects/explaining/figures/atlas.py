"""The atlas of heads: how much of their attention has no effect, by layer and length."""

from matplotlib.figure import Figure

from projects.explaining.figures.common import note
from regard_lab.experiment.results import Result, Row
from regard_lab.report.figures import Results, house_style

MODELS = {
    "minilm": "MiniLM, values 32 wide",
    "smollm2": "SmolLM2, causal, values 64 wide",
    "vit": "ViT-S/14, values 64 wide",
}


def null_shares(results: Results) -> Figure | None:
    """Share of attention (squared norm of its rows) in the null space of the values, by layer and length: a cell is the mean over heads."""
    result = results.best("atlas")
    if result is None:
        return None
    grids = {name: grid(result, name) for name in MODELS}
    shown = {name: one for name, one in grids.items() if one[0]}
    if not shown:
        return None
    with house_style():
        figure = Figure(figsize=(9.6, 3.6), layout="constrained")
        drawn = None
        for axes, (name, (lengths, shares)) in zip(
            figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True
        ):
            layers = [list(layer) for layer in zip(*shares, strict=True)]  # layer × length
            drawn = axes.imshow(layers, aspect="auto", origin="lower", vmin=0, vmax=100, cmap="viridis")
            axes.grid(visible=False)
            axes.set_xticks(range(len(lengths)), [str(length) for length in lengths])
            axes.set_yticks(range(0, len(layers), max(1, len(layers) // 6)))
            axes.set_title(MODELS[name], fontsize=9)
            axes.set_xlabel("tokens at most")
            axes.set_ylabel("layer")
        assert drawn is not None
        figure.colorbar(drawn, ax=figure.axes, label="null share (%)")
        note(figure, result)
    return figure


def grid(result: Result, model: str) -> tuple[list[int], list[list[float]]]:
    """The lengths at which a model was run, and for each the null share of every layer, mean over heads and seeds."""
    rows = sorted((row for row in result.rows if row.key["model"] == model), key=lambda row: int(row.key["length"]))
    lines = [(int(row.key["length"]), shares) for row in rows if (shares := by_layer(result, row))]
    return [length for length, _ in lines], [shares for _, shares in lines]


def by_layer(result: Result, row: Row) -> list[float]:
    """The null share of each layer, mean over heads and seeds; nothing where no cell has left its heads."""
    heads = [
        result.records[cell]["exhibits"]["heads"] for cell in row.cells if "exhibits" in result.records.get(cell, {})
    ]
    return [sum(sum(layer) / len(layer) for layer in layers) / len(layers) for layers in zip(*heads, strict=True)]
