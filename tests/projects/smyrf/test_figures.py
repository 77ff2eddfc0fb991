"""The figures of the tables on texts, and that every figure of the project is known by a name of its own."""

import pytest

from projects.smyrf.figures import FIGURES, attention_maps, generators, pretrained, speed, texts
from regard_lab.experiment.results import Metric, Result, Row
from regard_lab.report.figures import Results


def test_no_two_areas_name_a_figure_alike():
    areas = (attention_maps, texts, pretrained, speed, generators)
    assert len(FIGURES) == sum(len(area.FIGURES) for area in areas)
    assert all(make(Results([])) is None for make in FIGURES.values())
    assert all(make.__doc__ for make in FIGURES.values())  # their captions


@pytest.mark.parametrize(
    ("name", "table", "metric"),
    [
        ("glue_average", "glue", "average"),
        ("imdb_interchange", "imdb", "test_accuracy"),
        ("mask_bug", "mask_bug", "test_accuracy"),
    ],
)
def test_a_dot_per_seed_and_their_mean(name, table, metric):
    rows = [
        Row({"attention": attention}, {metric: Metric.of(values, "%")}, "ok", "", [0, 1], ["a", "b"])
        for attention, values in (("softmax", [80.0, 82.0]), ("smyrf", [77.0, 78.0]))
    ]
    figure = FIGURES[name](Results([Result("smyrf", table, "laptop", "", [], rows)]))
    assert figure is not None
    drawn = {round(float(x), 3) for axes in figure.axes for line in axes.lines for x in line.get_xdata()}
    drawn |= {round(float(y), 3) for axes in figure.axes for line in axes.lines for y in line.get_ydata()}
    assert {80.0, 82.0, 77.0, 78.0} <= drawn
