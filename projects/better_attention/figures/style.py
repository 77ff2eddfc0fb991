"""What several figures share: the look of a mechanism or control, and the note of the scale."""

from typing import Any

from matplotlib.figure import Figure

from regard_lab.experiment.results import Result
from regard_lab.report.figures import look, scale_words

CONTROLS = (  # in this order in every figure, so that a control has the same grey and filling everywhere
    "softmax_narrow",
    "softmax_mixed",
    "uniform_mixed",
    "mixer",
    "super_identity",
    "orthogonal",
    "super_per_head",
    "none",
    "softmax_over_queries",
    "super_over_queries",
)


def look_of(attention: str) -> dict[str, Any]:
    """Colour and filling of a mechanism or a control, the same in every figure of the project."""
    return look({"attention": attention}, CONTROLS)


def colour_of(attention: str) -> str:
    """The colour of a mechanism, the grey of a control."""
    return str(look_of(attention)["color"])


def scale_note(figure: Figure, result: Result) -> None:
    """Write the scale of a result into the upper right corner."""
    figure.text(0.99, 1.0, scale_words(result), ha="right", va="bottom", fontsize=7, color="#555555")
