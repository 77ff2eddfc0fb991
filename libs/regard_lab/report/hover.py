"""Values on hover, and a description in words, for any figure; both are read off the drawing, so no figure repeats
them.

In the SVG every marker has a `<title>`, which browsers show when the pointer rests on it. A figure that knows more
about its points than their coordinates, such as which seed they are, says so by `titles`.
"""

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from regard_lab.common.formatting import MINUS, number

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
TITLES = "regard_titles"  # the attribute of an artist that holds what `titles` was given
LISTED = 12  # if there are more names of one kind, a description gives only their number


def titles(line: Line2D, texts: Sequence[str]) -> None:
    """Set the text that is shown on hover over each marker of a line, in the order of its points."""
    setattr(line, TITLES, list(texts))


def mark(figure: Figure) -> dict[str, list[str]]:
    """Give each line and bar an id, and return the titles of its marks by that id."""
    marked: dict[str, list[str]] = {}
    for place, axes in enumerate(figure.axes):
        names = _names(axes)
        for index, line in enumerate(axes.lines):
            texts = getattr(line, TITLES, None) or _of_line(axes, line, names.get(line, ""))
            if texts:
                line.set_gid(f"values-{place}-{index}")
                marked[f"values-{place}-{index}"] = texts
        for index, bars in enumerate(one for one in axes.containers if isinstance(one, BarContainer)):
            for at, bar in enumerate(bars):
                name = f"bar-{place}-{index}-{at}"
                bar.set_gid(name)
                where = _tick(axes.xaxis, bar.get_x() + bar.get_width() / 2)
                series = str(bars.get_label() or "_")
                words = ("" if series.startswith("_") else series, where, number(float(bar.get_height())))
                marked[name] = [": ".join(word for word in words if word)]
    return marked


def with_titles(svg: bytes, marked: dict[str, list[str]]) -> bytes:
    """The SVG with a `<title>` in each mark, and without a size of its own, so that a page can scale it.

    A line whose marks are not all drawn, because some lie outside the axes, gets none: a title at the wrong mark would be a wrong number.
    """
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    root = ET.fromstring(svg)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    for group in root.iter(f"{{{SVG}}}g"):
        texts = marked.get(group.get("id", ""))
        if texts is None:
            continue
        marks = list(group.iter(f"{{{SVG}}}use")) or [group] * (len(texts) == 1)
        if len(marks) == len(texts):
            for one, text in zip(marks, texts, strict=True):
                title = ET.Element(f"{{{SVG}}}title")
                title.text = text
                one.insert(0, title)
    buffer = io.BytesIO()
    ET.ElementTree(root).write(buffer, encoding="utf-8", xml_declaration=True)
    return buffer.getvalue() + b"\n"


def describe(figure: Figure) -> str:
    """A description of the drawing for readers who cannot see it: axes with their ranges, names of the series."""
    panels = [text for axes in figure.axes if (text := _panel(axes))]
    several = f"{len(panels)} panels. " if len(panels) > 1 else ""
    return several + " ".join(panels) if panels else "A picture, whose caption says what it shows."


def size(svg: bytes) -> tuple[int, int]:
    """Width and height in CSS pixels; those of the viewBox are points."""
    match = re.search(rb'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', svg)
    if match is None:
        raise AssertionError("matplotlib wrote an SVG without a viewBox")
    return round(float(match[1]) * 4 / 3), round(float(match[2]) * 4 / 3)


def _names(axes: Axes) -> dict[Any, str]:
    """The name of each line: its own label, or that of the error bars around it."""
    named = {line: str(line.get_label()) for line in axes.lines if not str(line.get_label()).startswith("_")}
    for container in axes.containers:
        if isinstance(container, ErrorbarContainer) and container.lines[0] is not None:
            label = str(container.get_label())
            named[container.lines[0]] = "" if label.startswith("_") else label
    return named


def _of_line(axes: Axes, line: Line2D, name: str) -> list[str]:
    """A text per marker: name, value, place. Nothing for a line without markers."""
    if line.get_marker() in ("None", None, "", " ", "_", "|"):
        return []
    points = np.asarray(line.get_xydata(), dtype=float)
    return [
        ": ".join(part for part in (name, f"{_where(axes.yaxis, y)} at {_where(axes.xaxis, x)}") if part)
        for x, y in points
        if np.isfinite(x) and np.isfinite(y)
    ]


def _where(axis: Axis, value: float) -> str:
    return " ".join(part for part in (axis.get_label_text(), _tick(axis, value)) if part)


def _tick(axis: Axis, value: float) -> str:
    """The label at a position of an axis that has word labels; otherwise the number."""
    ticks = zip(axis.get_ticklocs(), [text.get_text() for text in axis.get_ticklabels()], strict=False)
    for place, words in ticks:
        if words and not re.fullmatch(r"[\d.,×⁰-⁹^{}$−+ -]*", words) and abs(place - value) < 0.5:
            return " ".join(words.split())
    return number(float(value))


def _panel(axes: Axes) -> str:
    if not axes.axison or not (axes.lines or axes.patches or axes.images):
        return ""
    title = " ".join(" ".join(axes.get_title(loc) for loc in ("left", "center")).split())
    what = "Heat map" if axes.images else "Chart"
    series = list(dict.fromkeys(_names(axes).values()))
    words = [_side("x", axes.xaxis, axes.get_xlim()), _side("y", axes.yaxis, axes.get_ylim())]
    if any(series):
        listed = [name for name in series if name]
        words.append("series: " + (", ".join(listed) if len(listed) <= LISTED else f"{len(listed)} of them"))
    said = "; ".join(word for word in words if word)
    return f"{what}{f', {title}' if title else ''}{f': {said}' if said else ''}."


def _side(letter: str, axis: Axis, limits: tuple[float, float]) -> str:
    words = [text.get_text() for text in axis.get_ticklabels()]
    categories = [" ".join(word.split()) for word in words if re.search(r"[A-Za-z]", word.replace("\\mathdefault", ""))]
    if categories:
        named = ", ".join(categories) if len(categories) <= LISTED else f"{len(categories)} of them"
        return f"{letter}, {axis.get_label_text() or 'by name'}: {named}"
    if not axis.get_label_text():
        return ""
    low, high = (f"{end:,.3g}".replace("-", MINUS) for end in sorted(limits))
    return f"{letter}, {axis.get_label_text()}, from {low} to {high}"
