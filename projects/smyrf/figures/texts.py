"""The figures of the tables on texts."""

from matplotlib.figure import Figure

from regard_lab.report.figures import Maker, Results, seed_dots


def glue_average(results: Results) -> Figure | None:
    """Mean over the tasks of table `glue`, by attention. Each dot is a seed, the bar their mean."""
    return seed_dots(results.best("glue"), "average", "average over tasks")


def imdb_interchange(results: Results) -> Figure | None:
    """Film reviews: accuracy by the attention of training and that of inference. Each dot is a seed, the bar their mean."""
    return seed_dots(results.best("imdb"), "test_accuracy", "test accuracy")


def mask_bug(results: Results) -> Figure | None:
    """Film reviews: accuracy with the padding masks in the right order and in that of the released code. Each dot is a seed, the bar their mean."""
    return seed_dots(results.best("mask_bug"), "test_accuracy", "test accuracy")


FIGURES: dict[str, Maker] = {
    "glue_average": glue_average,
    "imdb_interchange": imdb_interchange,
    "mask_bug": mask_bug,
}
