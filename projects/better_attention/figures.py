"""The figures of "You Need to Pay Better Attention": accuracy by mechanism, and how training went."""

import numpy as np
from matplotlib.figure import Figure

from projects.better_attention import sequence_figures
from projects.better_attention.looks import digit_maps, review_maps
from projects.better_attention.worth import should_i_use_it
from regard_lab.report.figures import COLOURS, Maker, Results, house_style, scale_words, seed_dots, training_curves


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


def ablations(results: Results) -> Figure | None:
    """IMDB: test accuracy by heads, by width and by length, mean over seeds ± one standard deviation. 6,000 reviews and 3 epochs at laptop scale."""
    found = {what: result for what in ("heads", "width", "length") if (result := results.best(f"ablation_{what}"))}
    if not found:
        return None
    with house_style():
        figure = Figure(figsize=(9.6, 3.2), layout="constrained")
        for axes, (what, result) in zip(np.atleast_1d(figure.subplots(1, len(found))), found.items(), strict=True):
            for name in dict.fromkeys(str(row.key["attention"]) for row in result.rows):
                rows = [row for row in result.rows if row.key["attention"] == name and "test_accuracy" in row.metrics]
                points = [row.metrics["test_accuracy"] for row in rows]
                x = [float(row.key[what]) for row in rows]
                spread = [point.sd or 0.0 for point in points]
                line = {"color": COLOURS[name], "marker": "o", "markersize": 4, "elinewidth": 0.9, "label": name}
                axes.errorbar(x, [point.mean for point in points], spread, **line)
            axes.set_xscale("log", base=2)
            ticks = sorted({float(row.key[what]) for row in result.rows})
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=7, rotation=90 if len(ticks) > 4 else 0)
            axes.minorticks_off()
            axes.set_xlabel(what)
        axes.legend()
        first = next(iter(found.values()))
        figure.supylabel("test accuracy (%)", fontsize=9)
        figure.suptitle(scale_words(first), x=0.01, ha="left", fontsize=8, color="#555555")
    return figure


def controls_text(results: Results) -> Figure | None:
    """IMDB: test accuracy of the mechanisms and the controls. Each dot is a seed, the bar their mean."""
    return seed_dots(results.best("controls_text"), "test_accuracy", "test accuracy")


def controls_vision(results: Results) -> Figure | None:
    """Fashion-MNIST: test accuracy of the mechanisms and the controls. Each dot is a seed, the bar their mean."""
    return seed_dots(results.best("controls_vision"), "test_accuracy", "test accuracy")


FIGURES: dict[str, Maker] = {
    "should_i_use_it": should_i_use_it,
    "ablations": ablations,
    "controls_text": controls_text,
    "controls_vision": controls_vision,
    "digit_maps": digit_maps,
    "review_maps": review_maps,
    "imdb_accuracy": imdb_accuracy,
    "imdb_training": imdb_training,
    "mnist_accuracy": mnist_accuracy,
    "mnist_training": mnist_training,
    **sequence_figures.FIGURES,
}
