"""Accuracy by mechanism, over training and over what is ablated."""

import numpy as np
from matplotlib.figure import Figure

from projects.better_attention.figures.style import colour_of
from regard_lab.report.figures import Results, house_style, scale_words, seed_dots, training_curves


def imdb_accuracy(results: Results) -> Figure | None:
    """IMDB: test accuracy of the epoch with the best validation accuracy. Each dot is a seed, the bar their mean."""
    return seed_dots(results.best("imdb"), "test_accuracy", "test accuracy")


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
    """IMDB: test accuracy by heads, by width and by length, mean over seeds ± one standard deviation. 6,000 reviews and 3 epochs at laptop scale."""
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
                points = [row.metrics["test_accuracy"] for row in rows]
                axes.errorbar(
                    [float(row.key[ablated]) for row in rows],
                    [point.mean for point in points],
                    [point.sd or 0.0 for point in points],
                    color=colour_of(name),
                    marker="o",
                    markersize=4,
                    elinewidth=0.9,
                    label=name,
                )
            axes.set_xscale("log", base=2)
            ticks = sorted({float(row.key[ablated]) for row in result.rows})
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=7, rotation=90 if len(ticks) > 4 else 0)
            axes.minorticks_off()
            axes.set_xlabel(ablated)
        axes.legend()
        first = next(iter(tables.values()))
        figure.supylabel("test accuracy (%)", fontsize=9)
        figure.suptitle(scale_words(first), x=0.01, ha="left", fontsize=8, color="#555555")
    return figure
