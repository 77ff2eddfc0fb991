"""The figures: what they show is what the results hold, and nothing is drawn where nothing has been run."""

import pytest

from projects.cab.figures import FIGURES
from projects.cab.figures.curves import CONTEXTS
from regard.common.patterns import ALL_PATTERNS
from regard_lab.experiment.results import Metric, Result, Row
from regard_lab.report.figures import Results, Sounds


def result(table: str, rows: list[tuple[dict, dict]], exhibits: dict | None = None) -> Result:
    """A result at quick scale of rows (key, metrics), each with one cell that has these exhibits."""
    made = [
        Row(key, {name: Metric.of([value], "") for name, value in metrics.items()}, "ok", "", [0], [f"cell{number}"])
        for number, (key, metrics) in enumerate(rows)
    ]
    records = {row.cells[0]: {"exhibits": exhibits} for row in made} if exhibits else {}
    return Result("cab", table, "quick", "", [], made, records)


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_drawn_where_nothing_has_been_run(name):
    assert FIGURES[name](Results([])) is None
    assert "quick" not in (FIGURES[name].__doc__ or "")  # the caption; the scale stands in the figure


def test_leaderboards_write_each_value_in_its_field():
    rows = [({"attention": "softmax"}, {"tts": 1.25, "average": -0.5, "largest_difference": 0.01})]
    figure = FIGURES["leaderboards"](Results([result("published_causal_self", rows)]))
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["1.25", "−0.50"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["tts", "average"]


def test_correlations_are_symmetric_and_leave_the_unknown_empty():
    pairs = {"noncausal_self.tts × causal_self.lm": 0.91, "causal_self.lm × causal_self.tts": -0.2}
    figure = FIGURES["correlations"](
        Results([result("correlations", [({"first": "a", "second": "b"}, {"correlation": 1.0})], {"tasks": pairs})])
    )
    written = [text.get_text() for text in figure.axes[0].texts]
    assert sorted(written) == sorted(["1.00"] * 3 + ["0.91"] * 2 + ["−0.20"] * 2)


def test_costs_are_drawn_over_their_lengths():
    forms = {"own": [1.0, 2.0], "unfused": [2.0, 8.0], "fused": [1.0, 3.0]}
    exhibits = {"lengths": [128, 256], "time_ms": forms, "peak_mib": forms}
    figure = FIGURES["costs"](Results([result("efficiency", [({"attention": "abc"}, {"speed": 4.0})], exhibits)]))
    time, memory = figure.axes
    assert [line.get_ydata().tolist() for line in time.lines] == [[1, 2], [2, 8], [1, 3]]
    assert [line.get_xdata().tolist() for line in memory.lines] == [[128, 256]] * 3
    assert time.get_ylabel() == "time (ms)"


def test_the_index_ranks_the_mechanisms_of_each_pattern():
    rows = [
        ({"attention": "abc", "pattern": "causal_self"}, {"index": -1.0}),
        ({"attention": "s4d", "pattern": "causal_self"}, {"index": 1.5}),
    ]
    figure = FIGURES["index"](Results([result("index", rows)]))
    axes = dict(zip(ALL_PATTERNS, figure.axes, strict=True))
    assert [label.get_text() for label in axes["causal_self"].get_yticklabels()] == ["s4d", "abc"]
    assert not axes["causal_cross"].lines


def test_contexts_go_from_an_eighth_to_twice_by_positions():
    values = [9.0, 8.0, 7.5, 7.0, 6.8, 6.5, 6.2, 6.0, 9.5]
    metrics = dict(zip(CONTEXTS, values, strict=True))
    rows = [
        ({"attention": "abc", "positions": "absolute"}, metrics),
        ({"attention": "abc", "variant": "released", "positions": "absolute"}, metrics),
        ({"attention": "local", "positions": "relative"}, metrics),
    ]
    figure = FIGURES["contexts"](Results([result("lm", rows)]))
    absolute, relative = figure.axes
    assert [line.get_label() for line in absolute.lines if len(line.get_xdata()) > 1] == ["abc", "abc released"]
    line, *seeds = relative.lines
    assert [float(dot.get_ydata()[0]) for dot in seeds] == values
    assert line.get_ydata().tolist() == values
    assert line.get_xdata().tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 16]
    assert [label.get_text() for label in relative.get_xticklabels()] == ["⅛", "¼", "½", "1", "2"]
    before = [({"attention": "abc"}, {"perplexity": 6.0})]
    assert FIGURES["contexts"](Results([result("lm", before)])) is None


def test_the_benefit_lies_between_its_two_dots():
    rows = [({"pattern": "causal_self"}, {"with_attention": 0.5, "without": -1.0, "benefit": 1.5})]
    figure = FIGURES["benefit"](Results([result("benefit", rows)]))
    between, full, empty = figure.axes[0].lines
    assert list(between.get_xdata()) == [0.5, -1.0]
    assert (list(full.get_xdata()), list(empty.get_xdata())) == ([0.5], [-1.0])


def test_speech_has_a_player_for_each_row_that_left_a_sample():
    shown = {"text": "Goodbye.", "sound": "UklGR"}
    rows = [({"attention": "abc"}, {"tts_mcd": 4.0}), ({"attention": "softmax"}, {"tts_mcd": 3.0})]
    made = FIGURES["speech"](Results([result("tts_cross", rows, shown)]))
    assert isinstance(made, Sounds)
    assert made.said == "Goodbye."
    assert len(made.players) == 2
    assert next(iter(made.players)) == "Transformer-TTS, causal cross, abc (quick: mechanics, not evidence)"
    assert FIGURES["speech"](Results([result("tts_cross", rows)])) is None
