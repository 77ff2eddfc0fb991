"""The figures of "You Need to Pay Better Attention": accuracy by mechanism, and how training went."""

from matplotlib.figure import Figure

from projects.better_attention import sequence_figures
from regard_lab.figures import Maker, Results, seed_dots, training_curves


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


FIGURES: dict[str, Maker] = {
    "imdb_accuracy": imdb_accuracy,
    "imdb_training": imdb_training,
    "mnist_accuracy": mnist_accuracy,
    "mnist_training": mnist_training,
    **sequence_figures.FIGURES,
}
