"""The command that trains one cell: `python -m projects.<paper>.train data=… model.attention=… scale=… seed=…`.

The words are Hydra overrides. With `table=…` and a row's own values the cell is that table's, and the table will not run it again.
"""

import sys
from pathlib import Path

from regard_lab import data
from regard_lab.cells import Cell, run_cell
from regard_lab.config import Composed, TableSpec, compose
from regard_lab.errors import UserError, command
from regard_lab.files import combined_sha256
from regard_lab.project import Project
from regard_lab.tables import check_config, load_table, make_cell


def command_of(project: Project, run: str) -> int:
    """The `main` of a project's `train.py`; `run` is what trains when no table is named."""

    @command
    def main() -> int:
        return train_one(project, run, sys.argv[1:], Path.cwd())

    return main()


def train_one(project: Project, run: str, overrides: list[str], root: Path) -> int:
    """Compose, check, fetch the data, train or reuse, and print the metrics. Returns the exit code."""
    if {"-h", "--help"} & set(overrides):
        print(usage(project, root))
        return 0
    composed = compose(project.conf(root), overrides)
    table = next((word.partition("=")[2] for word in overrides if word.startswith("table=")), None)
    check_config(project, composed.config)
    source = composed.config["data"]["source"]
    for name in data_sets_of(composed):
        data.ensure(name, root, source)
    cell = cell_of(project, run, composed, table, root)  # not before: its data have their checksum now
    end = run_cell(cell, root)
    if end.record is None:
        raise UserError(f"{cell.id}: {end.outcome}: {end.reason}")
    print(f"{cell.id} ({cell.scale}, {end.outcome})")
    for name, value in end.record["metrics"].items():
        print(f"  {name:<28} {value:.6g}")
    print(f"  record: {cell.record_path(root)}")
    return 0


def cell_of(project: Project, run: str, composed: Composed, table: str | None, root: Path) -> Cell:
    """The cell of a composed config: the table's own where it has one with this very config, otherwise one beside the tables (`single`)."""
    if table is not None:
        known = load_table(project.name, table, composed.scale, root).cells
        if match := next((cell for cell in known if cell.config == composed.config), None):
            return match
    spec = composed.table or TableSpec(
        run=run, rows=[{}], vary={}, metrics={}, seeds=1, data_sets=dict.fromkeys(data_sets_of(composed)), curves={}
    )
    seed = int(composed.config["seed"])
    mark = combined_sha256([repr(sorted(composed.config.items()))])[:8]
    slug = f"{composed.config['data']['name']}-seed{seed}-{mark}"
    return make_cell(project, composed, "single", slug, seed, root, spec, {"config": mark})


def data_sets_of(composed: Composed) -> list[str]:
    """The data sets that a cell of this config reads."""
    return list(composed.table.data_sets) if composed.table else [composed.config["data"]["name"]]


def usage(project: Project, root: Path) -> str:
    """What can be said on the command line: each config group with its choices."""
    conf = project.conf(root)
    groups = sorted(path for path in conf.iterdir() if path.is_dir())
    lines = [f"  {group.name}={'|'.join(sorted(file.stem for file in group.glob('*.yaml')))}" for group in groups]
    command = f"python -m projects.{project.name}.train"
    return "\n".join([f"usage: {command} [group=choice | group.key=value] … [seed=N]", *lines, f"files: {conf}"])
