"""`python -m regard_lab.status [PAPER/TABLE …] [--scale S]` says for every table whether its result is that of the current code and configs.

One line per table: `current`, `stale` with what has changed since, or `not run`; and the hours that its cells took. The
last line has the totals. Nothing is run and nothing is written. `--check` exits with code 1 if a result is stale.
"""

import argparse
import concurrent.futures
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

from regard_lab.common.errors import UserError, command
from regard_lab.common.formatting import label
from regard_lab.data import NOT_PREPARED
from regard_lab.experiment.experiment_file import check_scale
from regard_lab.experiment.project import check_root, find_project, papers
from regard_lab.experiment.results import SCALES, Code, Result, read_result, result_path
from regard_lab.experiment.tables import Table, load_table

# More changes than this are counted, not listed.
LISTED = 4


@dataclass(frozen=True)
class Standing:
    """The state of a table: `current`, `stale` or `not run`; `why` lists what has changed since a stale result was made."""

    table: str
    scale: str
    state: str
    hours: float | None
    why: tuple[str, ...] = ()

    def line(self) -> str:
        hours = "" if self.hours is None else f"{self.hours:.2f} h"
        return f"{self.table:<34} {self.scale:<7} {self.state:<8} {hours:>8}  {'; '.join(self.why)}".rstrip()


def standing(paper: str, name: str, scale: str, root: Path) -> Standing:
    """The state of one table at one scale."""
    path = result_path(root, paper, name, scale)
    if not path.exists():
        return Standing(f"{paper}/{name}", scale, "not run", None)
    result, table = read_result(path), load_table(paper, name, scale, root)
    hours = sum(record.get("wall_time_s", 0.0) for record in result.records.values()) / 3600
    if result.fingerprint == table.fingerprint and not changed_data(result, table):
        return Standing(f"{paper}/{name}", scale, "current", hours)
    return Standing(f"{paper}/{name}", scale, "stale", hours, tuple(changes(result, table, root)))


def changes(result: Result, table: Table, root: Path) -> list[str]:
    """What has changed since a result was made: rows and seeds, configs, data, definitions."""
    before = {cell for row in result.rows for cell in row.cells}
    changed = []
    new_rows = [row[0].key for row in table.rows if result.row(**row[0].key) is None]
    old_rows = [row.key for row in result.rows if all(row.key != cells[0].key for cells in table.rows)]
    for what, keys in (("new rows", new_rows), ("rows gone", old_rows)):
        if keys:
            changed.append(f"{what}: {_listed([label(key) for key in keys])}")
    if more := [cell.id for cell in table.cells if cell.id not in before and cell.key not in new_rows]:
        changed.append(f"cells without a record: {_listed(more)}")
    differences: dict[str, None] = {}
    for cell in table.cells:
        if record := result.records.get(cell.id):
            differences |= dict.fromkeys(config_changes(record["identity"]["config"], cell.config))
    if differences:
        changed.append(f"config: {_listed(list(differences))}")
    if data := changed_data(result, table):
        changed.append(f"data: {_listed(data)}")
    if result.code:
        changed += code_changes(result.code, table.definitions(root))
    return changed or ["code: the order of what it reaches, or definitions that the result does not list"]


def changed_data(result: Result, table: Table) -> list[str]:
    """The data sets that are not those of the result; one that has not been prepared here cannot be compared."""
    was = {use.name: use.sha256 for use in result.data}
    now = {name: sha for cell in table.cells for name, sha in cell.data.items()}
    return sorted(name for name, sha in now.items() if sha != NOT_PREPARED and was.get(name) != sha)


def code_changes(before: Code, now: Code) -> list[str]:
    """Definitions that differ. One that exists elsewhere with the same text has been moved and is not listed."""
    old = {(module, name): mark for module, names in before.items() for name, mark in names.items()}
    new = {(module, name): mark for module, names in now.items() for name, mark in names.items()}
    unmoved = set(old.values()) & set(new.values())
    changed = [name for name, mark in new.items() if old.get(name) != mark and mark not in unmoved]
    gone = [name for name, mark in old.items() if name not in new and mark not in unmoved]
    return [f"{what} {_by_module(names)}" for what, names in (("code:", changed), ("code gone:", gone)) if names]


def config_changes(before: Any, now: Any, place: str = "") -> list[str]:
    """Where two resolved configs differ: `training.batch_size 64 → 128`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        names = dict.fromkeys([*before, *now])
        return [
            change
            for name in names
            for change in config_changes(
                before.get(name, "absent"), now.get(name, "absent"), f"{place}.{name}" if place else str(name)
            )
        ]
    return [] if before == now else [f"{place} {before} → {now}"]


def _by_module(places: list[tuple[str, str]]) -> str:
    modules: dict[str, list[str]] = {}
    for module, name in places:
        modules.setdefault(module, []).append(name)
    return _listed([f"{module} ({_listed(names)})" for module, names in modules.items()])


def _listed(words: list[str]) -> str:
    more = len(words) - LISTED
    return ", ".join(words[:LISTED]) + (f" and {more} more" if more > 0 else "")


def standings(
    names: Iterable[tuple[str, str, str]], root: Path, each: Callable[..., Iterable[Standing]] = map
) -> Iterable[Standing]:
    """The states of tables, each named by paper, table and scale; `each` is `map` or a pool's."""
    columns = list(zip(*names, strict=True)) or [(), (), ()]
    return each(standing, *columns, repeat(root))


def tables_of(tables: list[str], scale: str | None, root: Path) -> list[tuple[str, str, str]]:
    """Paper, table and scale of every table named, or of all; without a scale, of each scale at which it has a result."""
    check_root(root)
    known = [(paper, name) for paper in papers(root) for name in find_project(paper, root).tables(root)]
    for table in tables:
        if tuple(table.split("/")) not in known:
            raise UserError(f"there is no table {table!r}; a table is named PAPER/TABLE, such as {'/'.join(known[0])}")
    chosen = [one for one in known if not tables or "/".join(one) in tables]
    scales = [check_scale(scale)] if scale else SCALES
    return [
        (paper, name, one)
        for one in scales
        for paper, name in chosen
        if scale or result_path(root, paper, name, one).exists()
    ]


@command
def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m regard_lab.status", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", metavar="PAPER/TABLE", help="default: every table")
    parser.add_argument("--scale", default=None, help="quick, laptop or paper (default: each that has results)")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a result is stale")
    arguments = parser.parse_args()
    root = Path.cwd()
    names = tables_of(arguments.tables, arguments.scale, root)
    results = stale = 0
    # A table can take seconds to compose; none of them needs torch.
    with concurrent.futures.ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        for one in standings(names, root, pool.map):
            print(one.line(), flush=True)
            results += one.state != "not run"
            stale += one.state == "stale"
    print(f"{results} result{'s' * (results != 1)}, {stale} stale")
    return 1 if arguments.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
