"""What the figures of this project share."""

from matplotlib.figure import Figure

from regard_lab.experiment.results import Result, Row
from regard_lab.report.figures import Results, scale_words


def measured_rows(results: Results, table: str) -> tuple[Result, list[Row]] | None:
    """A table's best result with those of its rows that have numbers; `None` if there are none."""
    result = results.best(table)
    rows = [row for row in result.rows if row.metrics] if result else []
    return (result, rows) if result is not None and rows else None


def note(figure: Figure, result: Result) -> None:
    """Write the scale above a figure, and that quick is no evidence."""
    figure.suptitle(scale_words(result), fontsize=8, color="#555555", x=0.01, ha="left")
