"""The figures of the sequences: sentences of every mechanism side by side, perplexity against the cache, and speed against FLOPs."""

import textwrap
from typing import Any

from matplotlib.figure import Figure

from projects.better_attention.config import FOUR
from projects.better_attention.worth import colour_of
from regard_lab.experiment.results import Result, Row
from regard_lab.report.figures import LINES, Maker, Results, house_style, scale_words, seed_dots

TITLES = {"int8": "model, int8", "onnx": "model, ONNX Runtime", "layer_gpu": "layer, GPU", "model_gpu": "model, GPU"}
LINE = 104  # letters of a line of sentences
LINE_INCH = 0.155


def translation_bleu(results: Results) -> Figure | None:
    """English to Spanish: BLEU of beam search, at the epoch with the least validation loss. Each dot is a seed, the bar their mean."""
    return seed_dots(results.best("translation"), "bleu", "BLEU")


def translations(results: Results) -> Figure | None:
    """Ten held-out sentences of the test split at equal distances, as seed 0 of each mechanism translates them by beam search."""
    result = results.best("translation")
    shown = (
        {str(row.key["attention"]): found for row in result.rows if (found := exhibits(result, row))} if result else {}
    )
    if result is None or not shown:
        return None
    first = next(iter(shown.values()))
    blocks = [
        [("source", sentence["source"]), ("reference", sentence["reference"])]
        + [(name, found["sentences"][place]["beam"]) for name, found in shown.items()]
        for place, sentence in enumerate(first["sentences"])
    ]
    lines = [(name, part) for block in blocks for name, text in block for part in pieces(name, text)]
    height = LINE_INCH * (len(lines) + 0.6 * len(blocks) + 3)
    with house_style():
        figure = Figure(figsize=(9.6, height))
        at = 1 - 0.5 * LINE_INCH / height
        for block in blocks:
            for name, text in block:
                for number, part in enumerate(wrapped(text)):
                    where = {
                        "va": "top",
                        "fontsize": 7.2,
                        "color": colour_of(name) if name in shown else "#000000",
                    }
                    if number == 0:
                        figure.text(0.01, at, name, weight="bold", **where)
                    figure.text(0.13, at, part, style="italic" if name == "source" else "normal", **where)
                    at -= LINE_INCH / height
            at -= 0.6 * LINE_INCH / height
        pairs, signatures = first["pairs"], first["signatures"]
        notes = [
            f"{scale_words(result)}; trained on {pairs['train']:,} pairs, scored on {pairs['test']:,}",
            f"BLEU {signatures['bleu']}",
            f"chrF {signatures['chrf']}",
        ]
        for text in notes:
            figure.text(0.01, at, text, va="top", fontsize=6.2, color="#555555")
            at -= LINE_INCH / height
    return figure


def pieces(name: str, text: str) -> list[tuple[str, str]]:
    return [(name, part) for part in wrapped(text)]


def wrapped(text: str) -> list[str]:
    """The lines of a text, one at the least; $ would start a formula."""
    return [part.replace("$", r"\$") for part in textwrap.wrap(text, LINE)] or ["(nothing)"]


def exhibits(result: Result, row: Row) -> dict[str, Any] | None:
    """The sentences that seed 0 of a row left, or None."""
    cell = next((cell for seed, cell in zip(row.seeds, row.cells, strict=True) if seed == 0), None)
    found: dict[str, Any] | None = (result.records.get(cell) or {}).get("exhibits") if cell else None
    return found if found and "sentences" in found else None


def lm_cache(results: Results) -> Figure | None:
    """The language models: test perplexity against the bytes that the state keeps of a token. A dot is a seed; left and low is better."""
    result = results.best("lm")
    rows = [row for row in result.rows if {"cache_bytes", "test_perplexity"} <= row.metrics.keys()] if result else []
    if result is None or not rows:
        return None
    with house_style():
        figure = Figure(figsize=(6.4, 3.2))
        axes = figure.subplots()
        for row in rows:
            cache, perplexity = row.metrics["cache_bytes"], row.metrics["test_perplexity"]
            axes.plot(
                cache.values,
                perplexity.values,
                "o",
                color=colour_of(str(row.key["attention"])),
                alpha=0.6,
                mew=0,
                markersize=5,
            )
            axes.plot(
                cache.mean,
                perplexity.mean,
                "_",
                color=colour_of(str(row.key["attention"])),
                markersize=18,
                mew=2,
                label=row.key["attention"],
            )
        axes.set_xlim(0, 1.15 * max(row.metrics["cache_bytes"].mean for row in rows))
        axes.set_xlabel("cache (bytes a token)")
        axes.set_ylabel("test perplexity")
        axes.legend()
        note(figure, result)
    return figure


def inference_speed(results: Results) -> Figure | None:
    """Speed-up over softmax attention by length, and what the FLOPs alone would give (dotted); layers and models of width 128. Above 1 is faster."""
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
                style = {"color": colour_of(name), "marker": "o", "markersize": 3.5}
                axes.plot(lengths, [row.metrics["speedup"].mean for row in rows], LINES[0], label=name, **style)
                axes.plot(
                    lengths,
                    [1 / row.metrics["flop_ratio"].mean for row in rows],
                    LINES[2],
                    linewidth=1,
                    **{**style, "marker": ""},
                )
            axes.set_xscale("log", base=2)
            axes.set_title(f"{TITLES.get(part, part)}, batch {batch}", fontsize=9)
            axes.set_xlabel("tokens")
        grid[0][0].set_ylabel("speed-up (×)")
        grid[0][0].legend(fontsize=7)
        note(figure, result)
    return figure


def wide(result: Result | None) -> list[Row]:
    """The rows of width 128 that were measured."""
    rows = result.rows if result else []
    return [row for row in rows if row.key["width"] == 128 and {"speedup", "flop_ratio"} <= row.metrics.keys()]


def note(figure: Figure, result: Result) -> None:
    """Which scale this is."""
    figure.text(0.99, 1.0, scale_words(result), ha="right", va="bottom", fontsize=7, color="#555555")


FIGURES: dict[str, Maker] = {
    "translation_bleu": translation_bleu,
    "translations": translations,
    "lm_cache": lm_cache,
    "inference_speed": inference_speed,
}
