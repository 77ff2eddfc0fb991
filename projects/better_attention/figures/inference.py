"""Speed of inference against FLOPs."""

from matplotlib.figure import Figure

from projects.better_attention.config import FOUR
from projects.better_attention.figures.style import colour_of, scale_note
from regard_lab.experiment.results import Result, Row
from regard_lab.report.figures import LINES, Results, data_ticks, house_style

TITLES = {"int8": "model, int8", "onnx": "model, ONNX Runtime", "layer_gpu": "layer, GPU", "model_gpu": "model, GPU"}


def inference_speed(results: Results) -> Figure | None:
    """Speed-up over softmax attention by length, and what the FLOPs predict (dotted); layers and models of width 128. Above 1 is faster."""
    result = results.best("inference")
    kinds = list(dict.fromkeys((str(row.key["part"]), row.key["batch"]) for row in wide(result))) if result else []
    if result is None or not kinds:
        return None
    with house_style():
        figure = Figure(figsize=(9.6, 2.9 * -(-len(kinds) // 3)), layout="constrained")
        grid = figure.subplots(-(-len(kinds) // 3), min(3, len(kinds)), sharey=True, squeeze=False)
        for axes in grid.flat[len(kinds) :]:
            axes.axis("off")
        for axes, (part, batch) in zip(grid.flat, kinds, strict=False):
            for name in FOUR:
                rows = [
                    row
                    for row in wide(result)
                    if (row.key["part"], row.key["batch"], row.key["attention"]) == (part, batch, name)
                ]
                rows.sort(key=lambda row: float(row.key["length"]))
                lengths = [float(row.key["length"]) for row in rows]
                measured = [row.metrics["speedup"].mean for row in rows]
                predicted = [1 / row.metrics["flop_ratio"].mean for row in rows]
                color = colour_of(name)
                axes.plot(lengths, measured, LINES[0], label=name, color=color, marker="o", markersize=3.5)
                axes.plot(lengths, predicted, LINES[2], color=color, linewidth=1)
            axes.set_xscale("log", base=2)
            data_ticks(axes.xaxis, lengths, "{:,.0f}")
            if len(lengths) == 1:  # a point alone in a panel needs room and its tick, not a decade
                axes.set_xlim(lengths[0] / 2, lengths[0] * 2)
            axes.set_title(f"{TITLES.get(part, part)}, batch {batch}", fontsize=9)
            axes.set_xlabel("tokens")
        grid[0][0].set_ylabel("speed-up (×)")
        figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
        scale_note(figure, result)
    return figure


def wide(result: Result | None) -> list[Row]:
    """The rows of width 128 that were measured."""
    rows = result.rows if result else []
    return [row for row in rows if row.key["width"] == 128 and {"speedup", "flop_ratio"} <= row.metrics.keys()]
