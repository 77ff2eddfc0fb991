"""Accuracy by mechanism, over training and over what is ablated."""

import numpy as np
from matplotlib.figure import Figure

from projects.better_attention.figures.style import colour_of, look_of
from regard_lab.report import hover
from regard_lab.report.figures import (
    Results,
    data_ticks,
    house_style,
    scale_words,
    seed_dots,
    seed_titles,
    training_curves,
)


def imdb_accuracy(results: Results) -> Figure | None:
    """IMDB: test accuracy of the epoch with the best validation accuracy. Each dot is a seed, the bar their mean."""
    return seed_dots(results.best("imdb"), "test_accuracy", "test accuracy")


def retrieval_accuracy(results: Results) -> Figure | None:
    """Retrieval in reviews: test accuracy of the epoch with the best validation accuracy. Each dot is a seed, the bar their mean."""
    return seed_dots(results.best("retrieval"), "test_accuracy", "test accuracy")


def retrieval_training(results: Results) -> Figure | None:
    """Retrieval in reviews: validation accuracy over training, mean over seeds ± one standard deviation."""
    return training_curves(results.best("retrieval"), "validation_accuracy", "validation accuracy")


def mnist_accuracy(results: Results) -> Figure | None:
    """MNIST: test accuracy of the epoch with the best validation accuracy. Each dot is a seed, the bar their mean."""
    return seed_dots(results.best("mnist"), "test_accuracy", "test accuracy")


def imdb_training(results: Results) -> Figure | None:
    """IMDB: validation accuracy over training, mean over seeds ± one standard deviation."""
    return training_curves(results.best("imdb"), "validation_accuracy", "validation accuracy")


def mnist_training(results: Results) -> Figure | None:
    """MNIST: validation accuracy over training, mean over seeds ± one standard deviation."""
    return training_curves(results.best("mnist"), "validation_accuracy", "validation accuracy")


def controls_text(results: Results) -> Figure | None:
    """IMDB: test accuracy of the mechanisms and the controls. Each dot is a seed, the bar their mean."""
    return seed_dots(results.best("controls_text"), "test_accuracy", "test accuracy")


def controls_vision(results: Results) -> Figure | None:
    """Fashion-MNIST: test accuracy of the mechanisms and the controls. Each dot is a seed, the bar their mean."""
    return seed_dots(results.best("controls_vision"), "test_accuracy", "test accuracy")


def ablations(results: Results) -> Figure | None:
    """IMDB: test accuracy by heads, by width and by length, a dot is a seed, lines are means. A seed at 50 %
    has not left chance within the epochs, and pulls its mean down. 6,000 reviews and 3 epochs at laptop scale."""
    tables = {
        ablated: result for ablated in ("heads", "width", "length") if (result := results.best(f"ablation_{ablated}"))
    }
    if not tables:
        return None
    with house_style():
        figure = Figure(figsize=(9.6, 3.2), layout="constrained")
        for axes, (ablated, result) in zip(np.atleast_1d(figure.subplots(1, len(tables))), tables.items(), strict=True):
            for name in dict.fromkeys(str(row.key["attention"]) for row in result.rows):
                rows = [row for row in result.rows if row.key["attention"] == name and "test_accuracy" in row.metrics]
                places = [float(row.key[ablated]) for row in rows]
                means = [row.metrics["test_accuracy"].mean for row in rows]
                axes.plot(places, means, color=colour_of(name), linewidth=1.6, label=name)
                for place, row in zip(places, rows, strict=True):
                    measured = row.metrics["test_accuracy"]
                    style = {"alpha": 0.6, "mew": 0, "markersize": 4} | look_of(name)
                    (dots,) = axes.plot([place] * measured.n, measured.values, "o", **style)
                    hover.titles(dots, seed_titles(row, measured))
            axes.set_xscale("log", base=2)
            data_ticks(axes.xaxis, (float(row.key[ablated]) for row in result.rows))
            axes.set_xlabel(ablated)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
        first = next(iter(tables.values()))
        figure.supylabel("test accuracy (%)", fontsize=9)
        figure.suptitle(scale_words(first), x=0.01, ha="left", fontsize=8, color="#555555")
    return figure
