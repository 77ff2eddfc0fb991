"""A review with its words coloured by their weight, raw and effective."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from projects.explaining.figures.common import BLUE, RED, note
from regard_lab.experiment.results import Result
from regard_lab.report.figures import Results, house_style

LINE = 34  # characters per line of the review
SHOWN = ("E1", "E4")


def review(results: Results) -> Figure | None:
    """One review of IMDB, its words coloured by their weight: raw attention, E1 (blue: negative), E4. All three give the same output."""
    result = results.best("definitions")
    texts = {name: exhibit(result, name) for name in SHOWN} if result else {}
    if result is None or any(text is None for text in texts.values()):
        return None
    shown: dict[str, Any] = {"raw attention": (texts["E1"], "raw")} | {
        name: (texts[name], "effective") for name in SHOWN
    }
    lines = max(len(wrapped(text["words"])) for text, _ in shown.values())
    with house_style():
        figure = Figure(figsize=(9.6, 0.5 + 0.2 * lines))
        for place, (title, (text, weights)) in enumerate(shown.items()):
            axes = figure.add_axes((0.01 + 0.33 * place, 0.02, 0.32, 0.86))
            draw_words(axes, text["words"], text[weights], lines)
            axes.set_title(title, loc="left", fontsize=9)
        note(figure, result)
    return figure


def exhibit(result: Result, attention: str, model: str = "encoder", data: str = "imdb") -> dict[str, Any] | None:
    """The text that a cell of `definitions` left, or `None`.

    Args:
        result: The result of the table `definitions`.
        attention: A definition.
        model: `encoder` or `bert`.
        data: A data set.
    """
    row = result.row(attention=attention, model=model, data=data)
    record = result.records.get(row.cells[0]) if row is not None and row.cells else None
    text: dict[str, Any] | None = (record or {}).get("exhibits", {}).get("text")
    return text


def wrapped(words: list[str]) -> list[list[int]]:
    """The places of the words, line by line."""
    lines: list[list[int]] = [[]]
    room = LINE
    for place, word in enumerate(words):
        if len(word) + 1 > room and lines[-1]:
            lines.append([])
            room = LINE
        lines[-1].append(place)
        room -= len(word) + 1
    return lines


def draw_words(axes: Axes, words: list[str], weights: list[float], lines: int) -> None:
    """Words set in a monospaced face, each on a patch whose strength is its weight against the largest."""
    axes.set(xlim=(0, LINE), ylim=(lines, 0))
    axes.axis("off")
    largest = max(abs(weight) for weight in weights) or 1.0
    for line, places in enumerate(wrapped(words)):
        at = 0.0
        for place in places:
            weight, word = weights[place], words[place]
            axes.add_patch(patch(at, line, len(word), weight, largest))
            axes.text(at + 0.15, line + 0.55, word, family="DejaVu Sans Mono", fontsize=6.4, va="center")
            at += len(word) + 1


def patch(at: float, line: int, width: int, weight: float, largest: float) -> Rectangle:
    """The coloured ground of a word of `width` characters that begins at `at`."""
    strength = 0.75 * abs(weight) / largest
    return Rectangle(
        (at - 0.1, line + 0.08), width + 0.4, 0.86, color=RED if weight > 0 else BLUE, alpha=strength, linewidth=0
    )
