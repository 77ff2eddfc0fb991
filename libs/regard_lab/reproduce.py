"""`python -m regard_lab.reproduce PAPER/TABLE … --scale S` brings tables up to date; without a table, everything that `params.yaml` asks for.

Tables: compose and check every cell of every table; then, table by table, fetch its data, run missing cells and write
`results/<scale>/<paper>/<table>.json`. This is what a stage of the pipelines calls. Exit code 1 when a cell failed or could not run (the
table says which and why; the tables after it run all the same), 2 for bad input. Everything: `dvc repro`, then one line per table.
"""

import argparse
import fcntl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from regard_lab import data
from regard_lab.common import files
from regard_lab.common.errors import DataMissing, UserError, command
from regard_lab.experiment.cells import Finished, finished_record, run_cell
from regard_lab.experiment.executors import EXECUTORS, as_finished, executor, import_early
from regard_lab.experiment.experiment_file import check_scale
from regard_lab.experiment.project import find_project, papers
from regard_lab.experiment.results import read_result, result_path, write_result
from regard_lab.experiment.tables import Table, check_table, checksums, load_table, result_of


def reproduce_tables(
    names: list[tuple[str, str]],
    scale: str,
    root: Path,
    *,
    where: str = "processes",
    workers: int | None = None,
    options: dict[str, Any] | None = None,
) -> Iterator[dict[str, Any]]:
    """Bring tables, each named by paper and table, up to date and yield their summaries. Nothing runs before all of them are checked.

    Tables that one process brings up to date share its imports, which can take longer than the cells of a small table.
    """
    tables = [load_table(paper, name, scale, root) for paper, name in names]
    if where == "processes" and any(_needs_processes(table, root, workers) for table in tables):
        import_early(table.spec.run.partition(":")[0] for table in tables)
    for table in tables:
        if not _finished(table, root):  # what has run was checked before it ran, and a check imports torch
            check_table(table, root)
    for table in tables:
        yield _bring_up_to_date(table, root, where, workers or table.spec.workers, options or {})


def reproduce_table(paper: str, name: str, scale: str, root: Path, **where: Any) -> dict[str, Any]:
    """`reproduce_tables` for one: its summary."""
    (summary,) = reproduce_tables([(paper, name)], scale, root, **where)
    return summary


def _needs_processes(table: Table, root: Path, workers: int | None) -> bool:
    return (workers or table.spec.workers) != 1 and not _finished(table, root)


def _finished(table: Table, root: Path) -> bool:
    return all(finished_record(cell, root) for cell in table.cells)


def _bring_up_to_date(
    table: Table, root: Path, where: str, workers: int | None, options: dict[str, Any]
) -> dict[str, Any]:
    """The summary of a table: cells run, reused, failed, not run, and seconds."""
    started = time.time()
    paper, name, scale = table.paper, table.name, table.scale
    with _alone(root, table):
        try:
            _prepare_data(table, root)
        except DataMissing as error:
            finished = [Finished(cell, "not run", None, str(error)) for cell in table.cells]
        else:
            # A set that cannot be pinned has its checksum only now.
            if checksums(table.spec, table.cells[0].config, root) != table.cells[0].data:
                table = load_table(paper, name, scale, root)
            finished = run_cells(table, root, where, workers, options)
        result = result_of(table, finished, root)
        path = result_path(root, paper, name, scale)
        if path.exists() and any(end.outcome == "reused" for end in finished):
            result = replace(
                result, restamps=[one for one in read_result(path).restamps if one.new == result.fingerprint]
            )
        write_result(path, result)
    counts = Counter(end.outcome for end in finished)
    summary = {
        "table": f"{paper}/{name}",
        "scale": scale,
        "rows": {status: sum(row.status == status for row in result.rows) for status in ("ok", "failed", "not run")},
        "cells": {outcome: counts[outcome] for outcome in ("run", "reused", "failed", "not run")},
        "seconds": round(time.time() - started, 1),
        "ended": time.time(),
        "reasons": sorted({row.reason for row in result.rows if row.reason}),
    }
    files.write_json(summary_path(root, paper, name, scale), summary)
    return summary


def run_cells(table: Table, root: Path, where: str, workers: int | None, options: dict[str, Any]) -> list[Finished]:
    """Run the cells of a table on an executor; a progress bar shows which has just ended."""
    finished = [Finished(cell, "reused", record) for cell in table.cells if (record := finished_record(cell, root))]
    reused = {end.cell.id for end in finished}
    # Seeds outermost: when a run is stopped early, every row has some of its seeds rather than some rows all of theirs.
    cells = sorted((cell for cell in table.cells if cell.id not in reused), key=lambda cell: cell.seed)
    if not cells:
        return finished
    workers = min(workers, len(cells)) if workers else None
    label = f"{table.paper}/{table.name} {table.scale}"
    with (
        executor(where, workers=workers, **options) as pool,
        tqdm(total=len(table.cells), initial=len(finished), desc=label, unit="cell", disable=None) as bar,
    ):
        futures = [pool.submit(run_cell, cell, root) for cell in cells]
        for future in as_finished(futures):
            end: Finished = future.result()
            finished.append(end)
            bar.set_postfix_str(f"{end.cell.id}: {end.outcome}")
            bar.update()
    return finished


def summary_path(root: Path, paper: str, table: str, scale: str) -> Path:
    """The path of the summary that the last run of a table left."""
    return root / "runs" / scale / paper / table / "summary.json"


def line(summary: dict[str, Any], since: float = 0.0) -> str:
    """A table's line at the end of a run. `since`: a summary from before that time was not touched by this run."""
    name = f"{summary['table']:<32} {summary['scale']:<7}"
    if summary["ended"] < since:
        return f"{name} up to date ({summary['rows']['ok']} rows)"
    cells = ", ".join(f"{count} {outcome}" for outcome, count in summary["cells"].items() if count)
    rows = ", ".join(f"{count} {status}" for status, count in summary["rows"].items() if count)
    reasons = "".join(f"\n    {reason}" for reason in summary["reasons"])
    return f"{name} rows: {rows}; cells: {cells}; {summary['seconds']:.1f} s{reasons}"


def reproduce_all(root: Path) -> int:
    """`dvc repro` for the scales of `params.yaml`, then one line per table and the report's path."""
    started = time.time()
    scales = read_scales(root)
    code = subprocess.run([sys.executable, "-m", "dvc", "repro", "--keep-going"], cwd=root).returncode
    failed = 0
    print()
    for scale in scales:
        for paper in papers(root):
            for name in find_project(paper, root).tables(root):
                path = summary_path(root, paper, name, scale)
                there = path.exists() and result_path(root, paper, name, scale).exists()
                print(
                    line(files.read_json(path), started)
                    if there
                    else f"{paper + '/' + name:<32} {scale:<7} not run: see the messages above"
                )
                failed += not there
    if code and failed:  # a stage that failed keeps DVC from the report; what there is should be seen all the same
        subprocess.run([sys.executable, "-m", "regard_lab.report"], cwd=root, check=False)
    print(f"\n{time.time() - started:.0f} s in all. The report: {root / 'reports' / 'index.html'}")
    return code


def read_scales(root: Path) -> list[str]:
    """The scales that `params.yaml` asks for, checked."""
    path = root / "params.yaml"
    try:
        scales = yaml.safe_load(path.read_text())["scales"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(f"{path} must hold a list `scales:` ({type(error).__name__}: {error})") from None
    if not isinstance(scales, list) or not scales:
        raise UserError(f"{path}: scales must be a list such as [quick], got {scales!r}")
    return [check_scale(str(scale)) for scale in scales]


def _prepare_data(table: Table, root: Path) -> None:
    for name in table.spec.data_sets:
        data.ensure(name, root, table.cells[0].config["data"]["source"])


@contextmanager
def _alone(root: Path, table: Table) -> Iterator[None]:
    """Two runs of one table at once would train the same cells twice into the same folders."""
    path = root / "runs" / table.scale / table.paper / table.name / ".lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{table.paper}/{table.name} at {table.scale} is being run by another process; wait for it or end it"
            ) from None
        yield


@command
def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m regard_lab.reproduce", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "tables", nargs="*", metavar="PAPER/TABLE", help="such as better_attention/imdb; without any: everything"
    )
    parser.add_argument("--scale", default=None, help="quick, laptop or paper")
    parser.add_argument("--executor", default="processes", choices=EXECUTORS)
    parser.add_argument("--workers", type=int, default=None, help="how many cells at once (default: one per core)")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="passed to submitit or Ray (slurm_partition=gpu)",
    )
    arguments = parser.parse_args()
    root = Path.cwd()
    if not arguments.tables:
        if arguments.scale:
            raise UserError("--scale goes with a table; for everything, list the scales in params.yaml")
        return reproduce_all(root)
    names = [_split(table) for table in arguments.tables]
    options: dict[str, Any] = {}
    for option in arguments.option:
        key, equals, value = option.partition("=")
        if not equals:
            raise UserError(f"--option takes KEY=VALUE, got {option!r}")
        options[key] = yaml.safe_load(value)
    code = 0
    for summary in reproduce_tables(
        names,
        check_scale(arguments.scale or "quick"),
        root,
        where=arguments.executor,
        workers=arguments.workers,
        options=options,
    ):
        print(line(summary), flush=True)
        code |= bool(summary["rows"]["failed"] or summary["rows"]["not run"])
    return code


def _split(table: str) -> tuple[str, str]:
    paper, _, name = table.partition("/")
    if not name:
        raise UserError(f"a table is named PAPER/TABLE, such as better_attention/imdb; got {table!r}")
    return paper, name


if __name__ == "__main__":
    sys.exit(main())
