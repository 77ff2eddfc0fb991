"""What a figure says besides its drawing: values on hover at the right marks, and itself in words."""

import re

from matplotlib.figure import Figure

from regard_lab.report import hover
from regard_lab.report.figures import house_style, svg


def chart() -> Figure:
    with house_style():
        figure = Figure()
        axes = figure.subplots()
        axes.plot([1, 2, 4], [0.5, -0.25, 0.125], marker="o", label="super")
        axes.plot([1, 4], [0, 1], label="a line without marks")
        axes.set_xlabel("length")
        axes.set_ylabel("gain (%)")
    return figure


def test_each_marker_has_the_value_at_its_place() -> None:
    found = re.findall(rb"<use [^>]*><title>([^<]*)</title>", svg(chart()))
    assert [text.decode() for text in found] == [
        "super: gain (%) 0.5000 at length 1",
        "super: gain (%) −0.2500 at length 2",
        "super: gain (%) 0.1250 at length 4",
    ]


def test_a_line_not_all_of_whose_marks_are_drawn_has_no_title_at_a_wrong_place() -> None:
    figure = chart()
    hover.titles(figure.axes[0].lines[0], ["seed 0", "seed 1"])
    assert b"<title>" not in svg(figure)


def test_own_titles_go_before_coordinates() -> None:
    figure = chart()
    hover.titles(figure.axes[0].lines[0], ["seed 0", "seed 1", "seed 2"])
    assert b"<title>seed 1</title>" in svg(figure)


def test_bars_say_their_height() -> None:
    with house_style():
        figure = Figure()
        figure.subplots().bar(["encoder", "decoder"], [3.5, 2])
    assert b"<title>decoder: 2</title>" in svg(figure)


def test_a_description_is_not_the_caption() -> None:
    said = hover.describe(chart())
    assert said.startswith("Chart: x, length, from 0.85 to 4.15; y, gain (%), from ")
    assert said.endswith("series: super, a line without marks.")
    assert hover.describe(Figure()) == "A picture, whose caption says what it shows."


def test_a_figure_has_no_size_of_its_own() -> None:
    drawn = svg(chart())
    width, height = hover.size(drawn)
    assert 500 < width < 800
    assert 300 < height < 600
    assert b"<svg " in drawn
    assert not re.search(rb"<svg [^>]* width=", drawn)
