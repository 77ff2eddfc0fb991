"""Every table that has hours, and the configs of its cells at `paper` scale."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from projects.smyrf.config import PROJECT, Config
from projects.smyrf.hours.analyses import of_analysis, of_pretrained
from projects.smyrf.hours.generators import of_swaps, of_trainings
from projects.smyrf.hours.texts import of_texts
from projects.smyrf.hours.work import Work
from regard_lab.experiment.config import typed
from regard_lab.experiment.table_file import read_table
from regard_lab.experiment.tables import compose_rows

TABLES: dict[str, Callable[[list[Config]], list[Work]]] = {
    "biggan_swap": of_swaps,
    "celeba_training": of_trainings,
    "glue": of_texts,
    "imdb": of_texts,
    "mask_bug": of_texts,
    "lsh_ablation": lambda cells: of_analysis(cells, swapped=True),
    "singular_values": lambda cells: of_analysis(cells, spectral=True),
    "sparsity": of_analysis,
    "cluster_membership": of_analysis,
    "pretrained_swap": of_pretrained,
}


def cells_of(table: str, root: Path) -> list[Config]:
    """The configs of every row and seed of a table at `paper` scale."""
    file = read_table(PROJECT.folder(root), table)
    rows = compose_rows(PROJECT, root, file, "paper")
    seeds = range(file.to_run().seeds["paper"])
    return [replace(typed(Config, row.config), seed=seed) for _, row in rows for seed in seeds]
