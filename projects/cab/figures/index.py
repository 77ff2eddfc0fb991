"""Our own index: of each mechanism, and with and without attention."""

from matplotlib.figure import Figure

from projects.cab.figures.common import measured_rows, note
from regard.common.patterns import ALL_PATTERNS
from regard_lab.report import hover
from regard_lab.report.figures import Results, colour, house_style, look, seed_titles


def index(results: Results) -> Figure | None:
    """Our own compositional index of each mechanism in each pattern, best first. A dot is a seed, the bar their mean."""
    if (measured := measured_rows(results, "index")) is None:
        return None
    result, rows = measured
    with house_style():
        figure = Figure(figsize=(9.6, 3.6), layout="constrained")
        for axes, pattern in zip(figure.subplots(1, 4), ALL_PATTERNS, strict=True):
            own = sorted(
                (row for row in rows if row.key["pattern"] == pattern), key=lambda row: -row.metrics["index"].mean
            )
            for place, row in enumerate(own):
                metric = row.metrics["index"]
                style = {"markersize": 4, "mew": 0, "alpha": 0.75} | look(row.key)
                (dots,) = axes.plot(metric.values, [place] * metric.n, "o", **style)
                hover.titles(dots, seed_titles(row, metric))
                axes.plot([metric.mean] * 2, [place - 0.32, place + 0.32], color=colour(row.key), linewidth=2.2)
            axes.set_yticks(range(len(own)), [str(row.key["attention"]) for row in own], fontsize=8)
            axes.set_ylim(max(len(own), 1) - 0.4, -0.6)
            axes.set_title(pattern.replace("_", " "), fontsize=9)
            axes.set_xlabel("index")
        note(figure, result)
    return figure


def benefit(results: Results) -> Figure | None:
    """Our index with softmax attention (full) and with the layer left out (empty), in each pattern; mean over seeds."""
    if (measured := measured_rows(results, "benefit")) is None:
        return None
    result, rows = measured
    with house_style():
        figure = Figure(figsize=(6.4, 1.0 + 0.4 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for place, row in enumerate(rows):
            own, without = (row.metrics[name].mean for name in ("with_attention", "without"))
            axes.plot([own, without], [place, place], color="#999999", linewidth=1.4)
            axes.plot(own, place, "o", color="#4d4d4d", label="softmax attention" if place == 0 else None)
            axes.plot(without, place, "o", color="#4d4d4d", mfc="white", label="without" if place == 0 else None)
        axes.set_yticks(range(len(rows)), [str(row.key["pattern"]).replace("_", " ") for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel("index")
        axes.legend(loc="best")
        note(figure, result)
    return figure
