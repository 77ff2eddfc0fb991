"""A table: the list of its cells, and the result that is read from their records.

The list comes from the table's file alone, so a removed row disappears from the result, and a row that has not run says
so.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.common.files import combined_sha256
from regard_lab.common.formatting import Key, label
from regard_lab.experiment.cells import Cell, Finished
from regard_lab.experiment.config import Composed, resolved, typed, whole
from regard_lab.experiment.experiment_file import check_scale, read_experiment
from regard_lab.experiment.fingerprint import code_fingerprint, definition_hashes
from regard_lab.experiment.project import Project, check_named, find_project, load
from regard_lab.experiment.results import Code, Curve, DataUse, Metric, Result, Row, Scale, Status
from regard_lab.experiment.table_file import TableFile, TableSpec, read_table


@dataclass(frozen=True)
class Table:
    """A table at one scale, composed and ready to run: one list of cells per row."""

    paper: str
    name: str
    scale: Scale
    spec: TableSpec
    rows: list[list[Cell]]

    @property
    def cells(self) -> list[Cell]:
        return [cell for row in self.rows for cell in row]

    @property
    def fingerprint(self) -> str:
        """One hash for the code and the configs of every cell; data have their own checksums."""
        return combined_sha256(f"{cell.fingerprint} {cell.seed} {sorted(cell.config.items())}" for cell in self.cells)

    def definitions(self, root: Path) -> Code:
        """A short hash of each definition that a cell of this table reaches, by module and name."""
        code: Code = {}
        for roots in sorted({cell.reaches for cell in self.cells}):
            for module, hashes in definition_hashes(roots, root).items():
                code.setdefault(module, {}).update(hashes)
        return {module: dict(sorted(hashes.items())) for module, hashes in sorted(code.items())}


def load_table(paper: str, name: str, scale: str, root: Path, *, check: bool = False) -> Table:
    """Compose every row of a table.

    Args:
        paper: The project.
        name: The table.
        scale: `quick`, `laptop` or `paper`.
        root: The folder of the repository.
        check: Whether the project also checks each config (`check_table`).

    Raises:
        UserError: An unknown project, table, scale or config key (the message gives the nearest), or a config that the
            check refuses.
    """
    project, tier = find_project(paper, root), check_scale(scale)
    check_named(paper, name, root)
    folder = project.folder(root)
    file = read_table(folder, name)
    spec = file.spec(folder, tier)
    rows = []
    # Rows share most of the code that they reach, and the fingerprint takes half of the time for a row.
    fingerprint = functools.cache(lambda reached: code_fingerprint(reached, root))
    for key, composed in compose_rows(project, root, file, tier):
        slug = "-".join(str(part) for part in key.values())
        names = {seed: f"{slug}-seed{seed}" for seed in range(spec.seeds)}
        rows.append(make_cells(project, composed, name, names, root, spec, key, fingerprint))
    table = Table(paper=paper, name=name, scale=tier, spec=spec, rows=rows)
    if check:
        check_table(table, root)
    return table


def compose_rows(project: Project, root: Path, file: TableFile, scale: Scale) -> Iterator[tuple[Key, Composed]]:
    """Each row of a table with its config, as a command line with the row's values would compose it."""
    folder, runs = project.folder(root), file.to_run()
    spec = file.spec(folder, scale)
    base = {name: file.values(read_experiment(folder, name, scale), scale) for name in file.experiments(scale)}
    for key in spec.rows:
        name = runs.experiment.format(**key)
        try:
            config = resolved(whole(project, file.row_values(base[name], key), scale))
        except UserError as error:
            raise UserError(f"{project.name}/{file.name}, row {label(key)}: {error}") from None
        yield key, Composed(config, spec, scale, name, file.name)


def check_table(table: Table, root: Path) -> None:
    """Let the project check each row's config (`check_config`), which imports torch."""
    project = find_project(table.paper, root)
    for first, *_ in table.rows:
        check_config(project, first.config, f"{table.paper}/{table.name}, row {first.key}: ")


def make_cell(
    project: Project,
    composed: Composed,
    table: str,
    name: str,
    seed: int,
    root: Path,
    spec: TableSpec,
    key: dict[str, Any],
) -> Cell:
    """One cell of a composed config."""
    (cell,) = make_cells(project, composed, table, {seed: name}, root, spec, key)
    return cell


def make_cells(
    project: Project,
    composed: Composed,
    table: str,
    names: Mapping[int, str],
    root: Path,
    spec: TableSpec,
    key: dict[str, Any],
    fingerprint: Callable[[tuple[str, ...]], str] | None = None,
) -> list[Cell]:
    """One cell per seed of a composed config, named by `names`. What code a cell uses may depend on its seed (a figure is drawn for one).

    `fingerprint`: `code_fingerprint` of what a cell reaches, with what it has worked out for other rows.
    """
    config = typed(project.schema, composed.config | {"seed": 0})
    schema = f"{project.schema.__module__}:{project.schema.__qualname__}"
    reaches = {seed: (spec.run, schema, *project.modules(replace(config, seed=seed))) for seed in names}
    fingerprint = fingerprint or functools.cache(lambda roots: code_fingerprint(roots, root))
    return [
        Cell(
            paper=project.name,
            table=table,
            scale=composed.scale,
            id=name,
            key=key,
            seed=seed,
            run=spec.run,
            schema=schema,
            config=composed.config | {"seed": seed},
            fingerprint=fingerprint(reaches[seed]),
            reaches=reaches[seed],
            data=checksums(spec, composed.config, root),
        )
        for seed, name in names.items()
    ]


def checksums(spec: TableSpec, config: dict[str, Any], root: Path) -> dict[str, str]:
    """The checksum of each data set of a table: the pinned one, or that of the prepared set where none can be pinned."""
    return {name: data.expected_checksum(name, root, data_source(config)) for name in spec.data_sets}


def data_source(config: dict[str, Any]) -> str:
    """Where a config's data sets come from, its `data.source`."""
    section = config.get("data") or {}
    if "source" not in section:
        raise UserError("an experiment with data sets needs a config with data.source, which says where they come from")
    source: str = section["source"]
    return source


def check_config(project: Project, config: dict[str, Any], where: str = "") -> None:
    """Refuse a config that cannot run, before any work.

    Args:
        project: Its schema and check.
        config: Plain values.
        where: The beginning of the message.

    Raises:
        UserError: Wrong keys, types, sizes, mechanisms or patterns.
    """
    check: Callable[[Any], None] = load(project.check)
    try:
        check(typed(project.schema, config))
    except (ValueError, TypeError) as error:
        raise UserError(f"{where}{error}") from None


def result_of(table: Table, finished: list[Finished], root: Path) -> Result:
    """The table's result, from how its cells ended."""
    by_id = {end.cell.id: end for end in finished}
    rows = [
        row_of(
            table.spec.metrics,
            table.spec.curves,
            [by_id.get(cell.id) or Finished(cell, "not run", None, "not started") for cell in row],
        )
        for row in table.rows
    ]
    records = {cell.id: by_id[cell.id].record for cell in table.cells if cell.id in by_id and by_id[cell.id].record}
    uses = {name: checksum for cell in table.cells for name, checksum in cell.data.items()}
    return Result(
        paper=table.paper,
        table=table.name,
        scale=table.scale,
        fingerprint=table.fingerprint,
        data=[DataUse(name, table.spec.data_sets[name], checksum) for name, checksum in uses.items()],
        rows=rows,
        records={name: record for name, record in records.items() if record is not None},
        code=table.definitions(root),
    )


def current_fingerprint(paper: str, name: str, scale: str, root: Path = Path()) -> str | None:
    """The fingerprint that a result would have if it were made now; `None` if its table is gone."""
    try:
        return load_table(paper, name, scale, root).fingerprint
    except UserError:
        return None


def _complete(end: Finished, metrics: Iterable[str], curves: Iterable[str]) -> Finished:
    """A finished cell; one without a metric or curve that its table shows as a failed one."""
    if end.record is None:
        return end
    held = end.record["metrics"]
    absent = [name for name in metrics if not isinstance(held.get(name), int | float)]
    absent += [name for name in curves if name not in end.record["curves"]]
    if not absent:
        return end
    return Finished(end.cell, "failed", None, f"the run gave no number for {', '.join(absent)}")


def row_of(metrics: Mapping[str, str], curves: Mapping[str, str], ends: list[Finished]) -> Row:
    """The row of one key, read from its finished cells: the metrics and curves named (name -> unit), over seeds.

    A cell whose run has left one of them out has failed.
    """
    ends = [_complete(end, metrics, curves) for end in ends]
    done = [(end.cell, end.record) for end in ends if end.record is not None]
    missing = [end for end in ends if end.record is None]
    status: Status = "ok" if not missing else "failed" if any(end.outcome == "failed" for end in missing) else "not run"
    reason = "; ".join(f"seed {end.cell.seed}: {end.reason}" for end in missing)
    values = {
        name: Metric.of([record["metrics"][name] for _, record in done], unit) for name, unit in metrics.items() if done
    }
    followed = {
        name: Curve(unit, [record["curves"][name] for _, record in done]) for name, unit in curves.items() if done
    }
    return Row(
        key=ends[0].cell.key,
        metrics=values,
        status=status,
        reason=reason,
        seeds=[cell.seed for cell, _ in done],
        cells=[cell.id for cell, _ in done],
        curves=followed,
    )
