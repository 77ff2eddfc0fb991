"""Every table that has GPU hours, and their works as one Markdown table."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from projects.smyrf.analyses.compute_budget.analyses import of_analysis, of_pretrained
from projects.smyrf.analyses.compute_budget.generators import of_swaps, of_trainings
from projects.smyrf.analyses.compute_budget.texts import of_texts
from projects.smyrf.analyses.compute_budget.work import Work
from projects.smyrf.config import PROJECT, Config
from regard_lab.experiment.config import typed
from regard_lab.experiment.table_file import read_table
from regard_lab.experiment.tables import compose_rows

# Of an A100: operations per second at most (NVIDIA's data sheet: 19.5 TFLOPS in float32, 156 in TF32), and the share that is sustained [our choice].
RATES = {"float32": 0.5 * 19.5e12, "TF32": 0.3 * 156e12}

TABLES: dict[str, Callable[[list[Config]], list[Work]]] = {
    "biggan_swap": of_swaps,
    "celeba_training": of_trainings,
    "glue": of_texts,
    "imdb": of_texts,
    "long_texts": of_texts,
    "mask_bug": of_texts,
    "lsh_ablation": lambda cells: of_analysis(cells, swapped=True),
    "merges": lambda cells: of_analysis(cells, swapped=True),
    "singular_values": lambda cells: of_analysis(cells, spectral=True),
    "sparsity": of_analysis,
    "cluster_membership": of_analysis,
    "pretrained_swap": of_pretrained,
    "drop_in": of_pretrained,
}


def cells_of(table: str, root: Path) -> list[Config]:
    """The configs of every row and seed of a table at `paper` scale."""
    file = read_table(PROJECT.folder(root), table)
    rows = compose_rows(PROJECT, root, file, "paper")
    seeds = range(file.to_run().seeds["paper"])
    return [replace(typed(Config, row.config), seed=seed) for _, row in rows for seed in seeds]


def report(tables: dict[str, list[Work]]) -> str:
    """The works of each table in a Markdown table, and their sums."""
    lines = [
        ["table", "work", "times", "GFLOP each", "PFLOP", *(f"hours in {rate}" for rate in RATES), "where it runs"],
    ]
    for table, works in tables.items():
        for work in works:
            cells = [f"`{table}`", work.what, f"{work.times:,}", short(work.flops / 1e9), *amounts([work])]
            lines.append([*cells, "GPU" if work.gpu else "CPU"])
    for gpu in (True, False):
        works = [work for own in tables.values() for work in own if work.gpu == gpu]
        lines.append(["all", "", "", "", *amounts(works), "GPU" if gpu else "CPU"])
    lines.insert(1, ["---", "---", *["---:"] * (len(lines[0]) - 3), "---"])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def amounts(works: list[Work]) -> list[str]:
    """Their operations together in 10¹⁵, and the hours at each rate, as words."""
    total = sum(work.times * work.flops for work in works)
    return [short(total / 1e15), *(short(total / rate / 3600) for rate in RATES.values())]


def short(value: float) -> str:
    """Three digits, or a whole number where there are more, with two decimal places at most."""
    if value < 0.01:
        return "< 0.01"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
