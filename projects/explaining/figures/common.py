"""What the figures of this project share."""

from matplotlib.figure import Figure

from regard_lab.experiment.results import Result
from regard_lab.report.figures import scale_words

DEFINITIONS = ("E1", "E2", "E3", "E4", "E5")
COLOURS = {
    "raw": "#000000",
    "E1": "#0072b2",
    "E2": "#56b4e9",
    "E3": "#e69f00",
    "E4": "#d55e00",
    "E5": "#009e73",
    "E6": "#999999",
}
RED, BLUE = "#d55e00", "#0072b2"


def note(figure: Figure, result: Result) -> None:
    """Write the scale above a figure."""
    figure.text(0.99, 0.99, scale_words(result), ha="right", va="top", fontsize=7, color="#555555")
