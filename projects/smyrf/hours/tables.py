"""Every table that has hours, and the configs of its cells at `paper` scale."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from projects.smyrf.hours.analyses import of_analysis, of_pretrained
from projects.smyrf.hours.generators import of_swaps, of_trainings
from projects.smyrf.hours.texts import of_texts
from projects.smyrf.hours.work import Work
from projects.smyrf.project import PROJECT, Config
from regard_lab.config import as_overrides, compose, compose_rows, typed

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
    base = [f"table={table}", "scale=paper"]
    spec = compose(PROJECT.conf(root), base).table
    assert spec is not None
    rows = compose_rows(PROJECT.conf(root), base, [as_overrides(key, spec.vary) for key in spec.rows])
    configs = [typed(Config, row.config) for row in rows]
    return [replace(config, seed=seed) for config in configs for seed in range(spec.seeds)]
