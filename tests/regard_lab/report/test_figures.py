from pathlib import Path

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import is_color_like
from matplotlib.figure import Figure

from regard_lab.experiment.results import Result
from regard_lab.report import figures
from regard_lab.report.figures import (
    COLOURS,
    GREYS,
    MORE_COLOURS,
    QUICK,
    Results,
    colour,
    data_ticks,
    house_style,
    look,
    plain_log_ticks,
    save,
    seed_dots,
    svg,
    training_curves,
)
from tests.regard_lab.samples import result, row


def accuracies(scale: str = "laptop", table: str = "scores") -> Result:
    return result(
        row(
            {"attention": "softmax"}, {"accuracy": [70.0, 71.0, 72.0]}, curves={"loss": [[3, 2, 1], [4, 3, 2], [5, 4]]}
        ),
        row({"attention": "super", "rounds": 2}, {"accuracy": [73.0]}, curves={"loss": [[2, 1, 0]]}),
        row({"attention": "abc"}, {}, status="failed", reason="broken"),
        scale=scale,  # type: ignore[arg-type]
        table=table,
    )


def texts(figure: Figure | None) -> str:
    assert figure is not None
    (axes,) = figure.axes
    legend = axes.get_legend()
    shown = [*axes.get_yticklabels(), *(legend.get_texts() if legend else [])]
    return " | ".join(
        [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel(), *(text.get_text() for text in shown)]
    )


def test_every_seed_is_a_dot_and_the_mean_a_bar() -> None:
    figure = seed_dots(accuracies(), "accuracy", "test accuracy")
    assert figure is not None
    drawn = [list(line.get_xdata()) for line in figure.axes[0].lines]
    assert drawn == [[70, 71, 72], [71, 71], [73], [73, 73]]
    assert "laptop scale, 1 to 3 seeds | test accuracy (%) |  | softmax | super, rounds 2" in texts(figure)


def test_curves_are_means_with_a_band_of_one_standard_deviation() -> None:
    figure = training_curves(accuracies(), "loss", "loss")
    assert figure is not None
    (axes,) = figure.axes
    first = axes.lines[0]
    assert list(first.get_xdata()) == [1, 2]  # as far as every seed goes
    assert list(first.get_ydata()) == [4, 3]
    (band,) = axes.collections  # a single seed has none
    assert band.get_paths()[0].get_extents().intervaly.tolist() == [2, 5]
    assert "softmax | super, rounds 2" in texts(figure)


def test_rows_of_one_mechanism_share_a_colour_and_differ_in_line() -> None:
    twins = result(*(row({"attention": "smyrf", "rounds": r}, {}, curves={"loss": [[2, 1]]}) for r in (1, 2)))
    figure = training_curves(twins, "loss", "loss")
    assert figure is not None
    one, two = figure.axes[0].lines
    assert one.get_color() == two.get_color()
    assert one.get_linestyle() != two.get_linestyle()


def test_quick_and_other_data_are_named_in_the_figure() -> None:
    assert QUICK in texts(seed_dots(accuracies("quick"), "accuracy", "accuracy"))
    stands_in = result(row({"attention": "super"}, {"accuracy": [1.0]}), stands_in_for="the real reviews")
    assert "1 seed, imdb in place of the real reviews" in texts(seed_dots(stands_in, "accuracy", "accuracy"))


@pytest.mark.parametrize("draw", [seed_dots, training_curves])
def test_nothing_to_draw(draw: object) -> None:
    assert draw(None, "accuracy", "x") is None  # type: ignore[operator]
    assert draw(accuracies(), "speed", "x") is None  # type: ignore[operator]


def test_the_same_bytes_each_time_whatever_the_settings(tmp_path: Path) -> None:
    def draw() -> bytes:
        figure = training_curves(accuracies(), "loss", "loss")
        assert figure is not None
        return svg(figure)

    first = draw()
    with matplotlib.rc_context(
        {"axes.labelsize": 30, "font.size": 30, "svg.fonttype": "none", "svg.hashsalt": "other"}
    ):
        assert draw() == first
    assert b"<dc:date>" not in first
    assert b">training" not in first
    assert b">epoch</text>" in first  # text is text
    figure = training_curves(accuracies(), "loss", "loss")
    assert figure is not None
    save(figure, tmp_path / "new" / "loss.svg")
    assert (tmp_path / "new" / "loss.svg").read_bytes() == first


def test_the_house_style_ends_with_its_block() -> None:
    before = matplotlib.rcParams["font.size"]
    with house_style():
        assert matplotlib.rcParams["svg.hashsalt"] == "regard"
    assert matplotlib.rcParams["font.size"] == before


def test_colours_are_told_apart() -> None:
    assert len(set(COLOURS.values())) == len(COLOURS)
    assert colour({"attention": "super", "rounds": 2}) == COLOURS["super"]


def test_what_is_no_mechanism_is_grey_and_told_apart_by_its_filling() -> None:
    controls = ["mixer", "softmax_narrow", "orthogonal"]
    looks = [look({"attention": name}, ["softmax", *controls]) for name in controls]
    assert {one["color"] for one in looks} <= set(GREYS)
    assert len({(one["color"], one["fillstyle"]) for one in looks}) == len(controls)
    assert look({"attention": "super"}, controls) == {"color": COLOURS["super"]}
    assert not set(GREYS) & set(COLOURS.values())


def test_ticks_stand_at_the_data_and_close_ones_share_a_label() -> None:
    axes = Figure().subplots()
    axes.set_xscale("log", base=2)
    axes.plot([16, 32, 45, 46, 64], [1] * 5)
    data_ticks(axes.xaxis, [16, 32, 45, 46, 64])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["16", "32", "45, 46", "64"]
    assert axes.get_xticks()[0] == pytest.approx(16)
    assert 45 < axes.get_xticks()[2] < 46
    assert len(axes.xaxis.get_minorticklocs()) == 0


def test_a_logarithmic_axis_is_written_out() -> None:
    axes = Figure().subplots()
    axes.set_yscale("log")
    axes.set_ylim(0.3, 4)
    plain_log_ticks(axes.yaxis)
    assert {"0.5", "1", "2"} <= {text.get_text() for text in axes.get_yticklabels()}


def test_every_seed_says_its_value_on_hover() -> None:
    figure = seed_dots(accuracies(), "accuracy", "test accuracy")
    assert figure is not None
    assert b"<title>softmax, seed 1: 71 % (mean of 3: 71 %)</title>" in svg(figure)
    assert svg(figure).count(b"<title>") == 4


@given(st.text(min_size=1))
def test_any_mechanism_has_a_colour(name: str) -> None:
    assert is_color_like(colour({"attention": name}))
    assert colour({"attention": name}) == colour({"attention": name, "rounds": 3})


def test_a_new_mechanism_has_a_colour_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "list_mechanisms", lambda: ["softmax", "new", "newer"])
    colours = [colour({"attention": name}) for name in ("softmax", "new", "newer")]
    assert colours == [COLOURS["softmax"], *MORE_COLOURS[:2]]
    assert not set(MORE_COLOURS) & {*COLOURS.values(), *GREYS}
    assert look({"attention": "new"}, ["control"]) == {"color": MORE_COLOURS[0]}


def test_results_give_the_best_scale_and_remember_what_was_asked() -> None:
    quick, laptop, paper = accuracies("quick"), accuracies("laptop"), accuracies("paper", "other")
    results = Results([quick, laptop, paper])
    assert results.best("scores") is laptop
    assert results.best("scores") is laptop
    assert results.best("none") is None
    assert results.get("scores", "paper") is None
    assert results.get("other", "paper") is paper
    assert Results([quick]).best("scores") is quick
    assert results.used == [laptop, paper]
