"""Figures of the performance page: every point is a row's, and what was not measured is not drawn."""

from dataclasses import replace

import pytest
from matplotlib.lines import Line2D

from regard_lab.report.performance import Machine
from regard_lab.report.performance_figures import FUSED_COLOUR, figures
from tests.regard_lab.report.made_up_times import FUSED, HERE, LENGTHS, LOCAL, SMYRF, measured, row

TIME, MEMORY = "performance-machine-1-noncausal_self-time", "performance-machine-1-noncausal_self-peak_memory"


def drawn(rows: list) -> dict[str, dict[str, Line2D]]:
    """The lines of each figure by their labels."""
    made = figures(Machine(HERE, "machine-1", "", [], [], [], rows))
    return {name: {str(line.get_label()): line for line in figure.axes[0].lines} for name, (figure, _) in made.items()}


def points(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in line.get_xydata()]


def test_times_are_milliseconds_and_memory_is_mebibytes() -> None:
    lines = drawn(measured())
    times = points(lines[TIME]["fused softmax"])
    assert [n for n, _ in times] == list(LENGTHS)
    assert [y for _, y in times] == pytest.approx([1e-5 * n * n for n in LENGTHS])
    assert points(lines[MEMORY]["fused softmax"]) == [(n, n / 128) for n in LENGTHS]
    assert lines[TIME]["fused softmax"].get_color() == FUSED_COLOUR


def test_plain_forms_peers_and_lengths_of_the_bisection_are_left_out() -> None:
    lines = drawn(measured())
    assert set(lines) == {TIME, MEMORY}  # no whole layer, no causal pattern: nothing on split heads was measured there
    assert set(lines[TIME]) == {"fused softmax", "local", "smyrf, rounds 2, cluster size 32"}
    assert [x for x, _ in points(lines[TIME]["local"])] == list(LENGTHS)


def test_two_settings_of_a_mechanism_share_a_colour_and_differ_in_line() -> None:
    other = replace(SMYRF, options="rounds=4 cluster_size=128")
    lines = drawn(measured() + [row(other, n, 1e-6 * n) for n in LENGTHS])[TIME]
    one, two = (line for name, line in lines.items() if name.startswith("smyrf"))
    assert one.get_color() == two.get_color() != FUSED_COLOUR
    assert one.get_linestyle() != two.get_linestyle()


def test_nothing_is_drawn_of_one_length_or_without_a_number() -> None:
    assert drawn([row(FUSED, 256, 1.0), row(LOCAL, 256, 1.0)]) == {}
    times = drawn([row(kind, n, 1.0) for kind in (FUSED, LOCAL) for n in (256, 512)])
    assert set(times) == {TIME}  # no peak was measured
