"""The figures and the page of a review: what they show is what the results hold."""

import pytest

from projects.explaining import review
from projects.explaining.figures import FIGURES
from projects.explaining.figures.review import wrapped
from regard_lab.experiment.results import Metric, Result, Row, result_path, write_result
from regard_lab.report.figures import Results

TEXT = {
    "words": ["a", "<good>", "film"],
    "raw": [0.2, 0.5, 0.3],
    "effective": [-0.1, 0.8, 0.3],
    "label": 1,
    "predicted": 1,
    "probability": 0.75,
}


def result(table: str, rows: list[tuple[dict, dict]]) -> Result:
    """A result at quick scale of rows (key, metrics), each with one cell that left `TEXT`."""
    made = [
        Row(key, {name: Metric.of([value], "") for name, value in metrics.items()}, "ok", "", [0], [f"cell{number}"])
        for number, (key, metrics) in enumerate(rows)
    ]
    return Result(
        "explaining", table, "quick", "", [], made, {row.cells[0]: {"exhibits": {"text": TEXT}} for row in made}
    )


def key(attention: str, **more: object) -> dict:
    return {"attention": attention, "model": "encoder", "data": "imdb", **more}


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_drawn_where_nothing_has_been_run(name):
    assert FIGURES[name](Results([])) is None


def test_the_review_colours_each_word_by_its_weight():
    rows = [(key("E1"), {"distributions": 0.0}), (key("E4"), {"distributions": 100.0})]
    figure = FIGURES["review"](Results([result("definitions", rows)]))
    raw, e1, _ = figure.axes
    assert [text.get_text() for text in e1.texts] == TEXT["words"]
    assert [patch.get_alpha() for patch in raw.patches] == pytest.approx([0.3, 0.75, 0.45])
    blue, red, _ = (patch.get_facecolor()[:3] for patch in e1.patches)
    assert blue != red  # negative, positive
    assert wrapped(["four"] * 8) == [[0, 1, 2, 3, 4, 5], [6, 7]]


def test_the_dots_of_distributions_are_the_rows_means():
    figure = FIGURES["distributions"](Results([result("definitions", [(key("E4"), {"distributions": 97.5})])]))
    assert [line.get_xdata().tolist() for line in figure.axes[0].lines] == [[97.5]]


def test_freedom_is_drawn_by_length():
    rows = [
        (
            {"model": "encoder", "weights": "trained", "key_width": 16, "length": length},
            {"top_range": length / 100, "max_weight": 0.5},
        )
        for length in (96, 16)
    ]
    figure = FIGURES["freedom"](Results([result("identifiability", rows)]))
    line = figure.axes[0].lines[0]
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([16, 96], [0.16, 0.96])


def test_agreement_shows_both_importances():
    rows = [(key("raw"), {"tau_gradient": 0.25, "tau_occlusion": -0.5})]
    gradient, occlusion = FIGURES["agreement"](Results([result("faithfulness", rows)])).axes
    assert list(gradient.lines[0].get_ydata()) == [0.25]
    assert list(occlusion.lines[0].get_ydata()) == [-0.5]


def test_null_shares_are_means_over_heads_and_seeds_by_layer_and_length():
    made = result("atlas", [({"model": "minilm", "length": length}, {"null_share": 1.0}) for length in (512, 32)])
    made.rows[0].cells.append("other-seed")
    made.records.update(
        {
            "cell0": {"exhibits": {"heads": [[10.0, 30.0], [50.0, 70.0]]}},
            "other-seed": {"exhibits": {"heads": [[20.0, 40.0], [60.0, 80.0]]}},
            "cell1": {"exhibits": {"heads": [[0.0, 0.0], [1.0, 3.0]]}},
        }
    )
    figure = FIGURES["null_shares"](Results([made]))
    axes, _ = figure.axes
    assert axes.images[0].get_array().tolist() == [
        [0.0, 25.0],
        [2.0, 65.0],
    ]  # a line per layer, lengths from left to right
    assert [text.get_text() for text in axes.get_xticklabels()] == ["32", "512"]


def test_the_page_of_a_review(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["review", "--output", "out.html"])
    assert review.main() == 2
    assert "there is no result of explaining/definitions" in capsys.readouterr().err
    rows = [(key("E4"), {"distributions": 100.0})]
    write_result(result_path(tmp_path, "explaining", "definitions", "quick"), result("definitions", rows))
    assert review.main() == 0
    page = (tmp_path / "out.html").read_text()
    assert "&lt;good&gt;" in page
    assert 'rgba(0, 114, 178, 0.100)" title="-0.1000">a<' in page  # negative: blue, against the largest weight
    assert "class 1 a probability of 0.750 (right)" in page
    monkeypatch.setattr("sys.argv", ["review", "--definition", "E5"])
    assert review.main() == 2
    assert "the result at quick has no row E5, encoder, imdb" in capsys.readouterr().err
