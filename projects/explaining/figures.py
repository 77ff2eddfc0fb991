"""The figures: a review under raw and under effective attention, which definitions are distributions, how free attention is, what it agrees with."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from regard_lab.experiment.results import Result, Row
from regard_lab.report.figures import Maker, Results, house_style, scale_words

DEFINITIONS = ("E1", "E2", "E3", "E4", "E5")
COLOURS = {
    "raw": "#4d4d4d",
    "E1": "#0072b2",
    "E2": "#56b4e9",
    "E3": "#e69f00",
    "E4": "#d55e00",
    "E5": "#009e73",
    "E6": "#999999",
}
RED, BLUE = "#d55e00", "#0072b2"
LINE = 34  # letters of a line of the review
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
        for place, (title, (text, which)) in enumerate(shown.items()):
            axes = figure.add_axes((0.01 + 0.33 * place, 0.02, 0.32, 0.86))
            draw_words(axes, text["words"], text[which], lines)
            axes.set_title(title, loc="left", fontsize=9)
        note(figure, result)
    return figure


def distributions(results: Results) -> Figure | None:
    """Share of explained rows that are probability distributions, by definition; a dot is a model and a set of texts."""
    result = results.best("definitions")
    if result is None:
        return None
    names = [*DEFINITIONS, "E6"]
    with house_style():
        figure = Figure(figsize=(6.4, 2.8))
        axes = figure.subplots()
        for place, name in enumerate(names):
            rows = [row for row in result.rows if row.key["attention"] == name and "distributions" in row.metrics]
            for number, row in enumerate(rows):
                mark = "o" if row.key["model"] == "encoder" else "s"
                height = place + 0.06 * (number - len(rows) / 2)
                axes.plot(row.metrics["distributions"].mean, height, mark, color=COLOURS[name], markersize=5, alpha=0.8)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel("rows that are distributions (%); ○ small encoder, □ BERT")
        note(figure, result)
    return figure


def freedom(results: Results) -> Figure | None:
    """How far the heaviest weight can move when output, sum and sign are kept, by length; values are 16 wide. Up to 17 tokens: not at all."""
    result = results.best("identifiability")
    if result is None:
        return None
    with house_style():
        figure = Figure(figsize=(6.4, 3.2))
        axes = figure.subplots()
        for weights, line in (("trained", "-"), ("random", "--")):
            rows = along(result, model="encoder", weights=weights, key_width=16)
            for metric, colour, what in (
                ("top_range", RED, "range of the heaviest weight"),
                ("max_weight", "#4d4d4d", "the weight itself"),
            ):
                points = [(row.key["length"], row.metrics[metric].mean) for row in rows if metric in row.metrics]
                if points:
                    axes.plot(
                        *zip(*points, strict=True),
                        line,
                        color=colour,
                        marker="o",
                        markersize=4,
                        label=f"{what}, {weights}",
                    )
        axes.axvline(17, color="#999999", linewidth=0.8)
        axes.set_xlabel("tokens")
        axes.set_ylabel("weight")
        axes.legend()
        note(figure, result)
    return figure


def agreement(results: Results) -> Figure | None:
    """Kendall's τ of the weights with gradient and with occlusion, raw and effective; the small encoder, a group a set of texts."""
    result = results.best("faithfulness")
    if result is None:
        return None
    names = ("raw", *DEFINITIONS)
    sets = list(dict.fromkeys(str(row.key["data"]) for row in result.rows))
    with house_style():
        figure = Figure(figsize=(7.2, 3.0))
        for axes, what in zip(figure.subplots(1, 2, sharey=True), ("gradient", "occlusion"), strict=True):
            for place, name in enumerate(names):
                rows = [row for row in result.rows if row.key["attention"] == name and row.key["model"] == "encoder"]
                points = [
                    (sets.index(str(row.key["data"])) + 0.1 * (place - 2.5), row.metrics[f"tau_{what}"].mean)
                    for row in rows
                    if row.metrics
                ]
                if points:
                    axes.plot(*zip(*points, strict=True), "o", color=COLOURS[name], markersize=5, label=name)
            axes.set_xticks(range(len(sets)), [name.replace("_", "\n") for name in sets])
            axes.set_ylabel(f"τ with {what}")
        axes.legend(ncols=2, fontsize=7)
        note(figure, result)
    return figure


def exhibit(result: Result, attention: str, model: str = "encoder", data: str = "imdb") -> dict[str, Any] | None:
    """The text that a cell of `definitions` left, or None."""
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
    strength = 0.75 * abs(weight) / largest
    return Rectangle(
        (at - 0.1, line + 0.08), width + 0.4, 0.86, color=RED if weight > 0 else BLUE, alpha=strength, linewidth=0
    )


def along(result: Result, **key: str | int) -> list[Row]:
    """Rows that contain this key, by length."""
    return sorted(
        (row for row in result.rows if key.items() <= row.key.items()), key=lambda row: float(row.key["length"])
    )


def note(figure: Figure, result: Result) -> None:
    """Which scale this is."""
    figure.text(0.99, 0.99, scale_words(result), ha="right", va="top", fontsize=7, color="#555555")


FIGURES: dict[str, Maker] = {
    "review": review,
    "distributions": distributions,
    "freedom": freedom,
    "agreement": agreement,
}
