"""The figures of time and memory: the paper's speed figure, the same over long inputs, and memory as measured."""

from collections import defaultdict
from collections.abc import Callable

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from regard_lab.common.formatting import Key
from regard_lab.experiment.results import Result, Row
from regard_lab.report.figures import (
    COLOURS,
    LINES,
    Maker,
    Results,
    data_ticks,
    house_style,
    plain_log_ticks,
    scale_note,
)

ROUNDS = {1: "#f2a66b", 2: COLOURS["smyrf"], 4: "#7d3700"}  # shades of SMYRF's colour
SIZES = dict(zip((16, 32, 64, 128), LINES, strict=True))
DENSE = COLOURS["softmax"]
PARTS = {"bert": "a BERT layer, forward", "bert_training": "a BERT layer, forward and backward"}


def speed(results: Results) -> Figure | None:
    """Seconds of one pass of a BERT layer over the number of tokens, batch 1, both on logarithmic axes; one line per
    setting (rounds × cluster size), dense attention by the fused kernel in grey."""
    result = results.best("speed")
    parts = [part for part in PARTS if any(row.key["part"] == part for row in _rows(result, "time_s"))]
    return _figure(result, "time_s", "seconds per pass", parts, lambda key, part: key["part"] == part, PARTS)


def speed_long(results: Results) -> Figure | None:
    """Seconds of one attention layer of one head over the number of tokens, both on logarithmic axes: SMYRF, and dense
    attention by the fused kernel."""
    title = {"layer": "attention with its four projections, one head"}
    return _figure(
        results.best("speed"), "time_s", "seconds per pass", ["layer"], lambda key, part: key["part"] == part, title
    )


def memory(results: Results) -> Figure | None:
    """Peak memory of one attention layer over the number of tokens per sequence, measured: SMYRF, dense attention by
    the fused kernel, and dense attention that holds its scores. A batch has 4,096 tokens; at 16,384 it is one sequence.
    """
    return _figure(results.best("memory"), "peak_mib", "peak memory (MiB)", [""], lambda key, part: True, {"": ""})


def _figure(
    result: Result | None,
    metric: str,
    title: str,
    parts: list[str],
    belongs: Callable[[Key, str], bool],
    titles: dict[str, str],
) -> Figure | None:
    """One pair of axes per part, one line per setting."""
    rows = _rows(result, metric)
    if result is None or not rows or not parts:
        return None
    with house_style():
        figure = Figure(figsize=(3.6 * len(parts) + 1.6, 3.6))
        for number, part in enumerate(parts, start=1):
            axes = figure.add_subplot(1, len(parts), number)
            _lines(axes, [row for row in rows if belongs(row.key, part)], metric)
            axes.set_title(titles[part], fontsize=9)
            if number == 1:
                axes.set_ylabel(title)
        handles, names = _legend(figure)
        figure.axes[-1].legend(handles, names, loc="center left", bbox_to_anchor=(1.02, 0.5))
        note = scale_note(result, [row.metrics[metric].n for row in rows])
        figure.suptitle(note, x=0.02, ha="left", fontsize=8, color="#555555")
        figure.tight_layout()
    return figure


def _rows(result: Result | None, metric: str) -> list[Row]:
    return [row for row in result.rows if metric in row.metrics] if result else []


def _lines(axes: Axes, rows: list[Row], metric: str) -> None:
    lines: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        lines[_name(row.key)].append(row)
    for name, points in lines.items():
        key = points[0].key
        smyrf = key["attention"] == "smyrf"
        dense = "--" if "unfused" in name else "-"
        style = SIZES.get(int(key["cluster_size"]), "-") if smyrf else dense
        colour = ROUNDS.get(int(key["rounds"]), COLOURS["smyrf"]) if smyrf else DENSE
        x, y = [int(row.key["tokens"]) for row in points], [row.metrics[metric].mean for row in points]
        axes.plot(x, y, style, color=colour, marker="o", markersize=3, linewidth=1.2 if smyrf else 2.2, label=name)
    tokens = sorted({int(row.key["tokens"]) for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    data_ticks(axes.xaxis, tokens, "{:,.0f}")
    plain_log_ticks(axes.yaxis)
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlabel("tokens")


def _name(key: Key) -> str:
    """ "2 × 32", "dense", "dense, unfused"."""
    if key["attention"] == "smyrf":
        return f"{key['rounds']} × {key['cluster_size']}"
    return "dense, unfused" if key.get("kernel") == "unfused" else "dense"


def _legend(figure: Figure) -> tuple[list[Artist], list[str]]:
    """Every line once, though several axes have it."""
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    return list(handles.values()), list(handles)


FIGURES: dict[str, Maker] = {"speed": speed, "speed_long": speed_long, "memory": memory}
