"""Translations of every mechanism side by side, and the language models' perplexity against their cache."""

import textwrap
from typing import Any

from matplotlib.figure import Figure

from projects.better_attention.figures.style import colour_of, look_of, scale_note
from regard_lab.experiment.results import Result, Row
from regard_lab.report import hover
from regard_lab.report.figures import Results, house_style, scale_words, seed_dots, seed_titles

CHARACTERS = 104  # of a line of text
LINE_INCH = 0.155


def translation_bleu(results: Results) -> Figure | None:
    """English to Spanish: BLEU of beam search, at the epoch with the least validation loss. Each dot is a seed, the bar their mean."""
    return seed_dots(results.best("translation"), "bleu", "BLEU")


def translations(results: Results) -> Figure | None:
    """Ten evenly spaced sentences of the test split, as seed 0 of each mechanism translates them by beam search."""
    result = results.best("translation")
    if result is None:
        return None
    shown = {str(row.key["attention"]): exhibits for row in result.rows if (exhibits := examples(result, row))}
    if not shown:
        return None
    first = next(iter(shown.values()))
    blocks = [
        [("source", sentence["source"]), ("reference", sentence["reference"])]
        + [(name, exhibits["sentences"][index]["beam"]) for name, exhibits in shown.items()]
        for index, sentence in enumerate(first["sentences"])
    ]
    lines = sum(len(wrapped(text)) for block in blocks for _, text in block)
    height = LINE_INCH * (lines + 0.6 * len(blocks) + 3)
    with house_style():
        figure = Figure(figsize=(9.6, height))
        y = 1 - 0.5 * LINE_INCH / height
        for block in blocks:
            for name, text in block:
                color = colour_of(name) if name in shown else "#000000"
                style = "italic" if name == "source" else "normal"
                figure.text(0.01, y, name, weight="bold", va="top", fontsize=7.2, color=color)
                for line in wrapped(text):
                    figure.text(0.13, y, line, style=style, va="top", fontsize=7.2, color=color)
                    y -= LINE_INCH / height
            y -= 0.6 * LINE_INCH / height
        pairs, signatures = first["pairs"], first["signatures"]
        notes = [
            f"{scale_words(result)}; trained on {pairs['train']:,} pairs, scored on {pairs['test']:,}",
            f"BLEU {signatures['bleu']}",
            f"chrF {signatures['chrf']}",
        ]
        for text in notes:
            figure.text(0.01, y, text, va="top", fontsize=6.2, color="#555555")
            y -= LINE_INCH / height
    return figure


def wrapped(text: str) -> list[str]:
    """The lines of a text, at least one; $ would start a formula."""
    return [line.replace("$", r"\$") for line in textwrap.wrap(text, CHARACTERS)] or ["(nothing)"]


def examples(result: Result, row: Row) -> dict[str, Any] | None:
    """What seed 0 of a row left for the figure, or None."""
    cell = next((cell for seed, cell in zip(row.seeds, row.cells, strict=True) if seed == 0), None)
    exhibits: dict[str, Any] = (result.records.get(cell) or {}).get("exhibits") or {} if cell else {}
    return exhibits if "sentences" in exhibits else None


def lm_cache(results: Results) -> Figure | None:
    """The language models: test perplexity against the bytes that the state holds per token. A dot is a seed; left and low is better."""
    result = results.best("lm")
    rows = [row for row in result.rows if {"cache_bytes", "test_perplexity"} <= row.metrics.keys()] if result else []
    if result is None or not rows:
        return None
    with house_style():
        figure = Figure(figsize=(6.4, 3.2))
        axes = figure.subplots()
        for row in rows:
            cache, perplexity = row.metrics["cache_bytes"], row.metrics["test_perplexity"]
            name = str(row.key["attention"])
            color = colour_of(name)
            style = {"alpha": 0.6, "mew": 0, "markersize": 5} | look_of(name)
            (dots,) = axes.plot(cache.values, perplexity.values, "o", **style)
            hover.titles(dots, seed_titles(row, perplexity))
            axes.plot(cache.mean, perplexity.mean, "_", color=color, markersize=18, mew=2, label=name)
        axes.set_xlim(0, 1.15 * max(row.metrics["cache_bytes"].mean for row in rows))
        axes.set_xlabel("cache (bytes per token)")
        axes.set_ylabel("test perplexity")
        axes.legend()
        scale_note(figure, result)
    return figure
