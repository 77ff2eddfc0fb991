"""What several figures share: a colour per mechanism and control, and the note of the scale."""

from matplotlib.figure import Figure

from regard_lab.experiment.results import Result
from regard_lab.report.figures import colour, scale_words

CONTROL_COLOURS = {  # beside the colours of mechanisms
    "softmax_narrow": "#999999",
    "softmax_mixed": "#d55e00",
    "uniform_mixed": "#cc79a7",
    "mixer": "#882255",
    "super_identity": "#56b4e9",
    "orthogonal": "#b8a400",
    "super_per_head": "#332288",
}


def colour_of(attention: str) -> str:
    """The colour of a mechanism or a control, the same in every figure of the project."""
    return CONTROL_COLOURS.get(attention) or colour({"attention": attention})


def scale_note(figure: Figure, result: Result) -> None:
    """Write the scale of a result into the upper right corner."""
    figure.text(0.99, 1.0, scale_words(result), ha="right", va="bottom", fontsize=7, color="#555555")
