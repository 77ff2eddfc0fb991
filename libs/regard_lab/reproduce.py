"""`python -m regard_lab.reproduce PAPER/TABLE … --scale S` brings tables up to date; without a table, everything that `params.yaml` asks for.

With tables, the command composes and checks every cell of every table, then fetches their data, runs missing cells, and
writes `results/<scale>/<paper>/<table>.json` of each table as its last cell ends. This is what a stage of the pipelines
calls. The exit code is 1 if a cell failed or could not run (the table says which and why; the others run all the same),
and 2 for bad input. Without a table, the command runs the tables whose stages DVC would run, together; then
`dvc repro`, whose stages find their cells finished; then it prints one line per table. If only `quick` is asked for,
tables whose data come from the user's own folder may lack them: they are listed as not run, and this is not a failure.
"""

import argparse
import fcntl
import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from regard_lab import data
from regard_lab.common import files
from regard_lab.common.errors import DataMissing, UserError, command
from regard_lab.common.strict_yaml import read_value
from regard_lab.experiment import items
from regard_lab.experiment.cells import Finished, finished_record, published
from regard_lab.experiment.executors import EXECUTORS, import_early
from regard_lab.experiment.experiment_file import check_scale
from regard_lab.experiment.partial import restore_records
from regard_lab.experiment.project import find_project, papers
from regard_lab.experiment.results import DECIDING, read_result, result_path, write_result
from regard_lab.experiment.running import Run, run_tables
from regard_lab.experiment.tables import Table, check_table, checksums, load_table, result_of
from regard_lab.gate import with_floors


def reproduce_tables(
    names: list[tuple[str, str]],
    scale: str,
    root: Path,
    *,
    where: str = "processes",
    workers: int | None = None,
    options: dict[str, Any] | None = None,
    deadline: float = math.inf,
    from_result: bool = False,
) -> Iterator[dict[str, Any]]:
    """Bring tables up to date together and yield the summary of each as it is done. Nothing runs before all of them are checked.

    Their cells share one executor: imports, which can take longer than the cells of a small table, happen only once,
    and the last cell of a table keeps one core busy while the next table has the others. Cells that train on several
    devices come next, one at a time. Tables that limit how many cells may run at once come last, each by itself.

    Args:
        names: Paper and table of each.
        scale: `quick`, `laptop` or `paper`.
        root: The folder of the repository.
        where: One of `EXECUTORS`.
        workers: How many cells at once. Default: what the table says, else one per GPU, or per core where there is no
            GPU.
        options: Passed to submitit or Ray.
        deadline: Seconds since 1970 after which no cell starts; cells that have not started by then are `not run`.
        from_result: Whether cells that a table's result already has, from exactly this config, code and data, count as
            finished.

    Raises:
        UserError: A table or a config is wrong, or another process runs the table. Records of cells that have finished are kept.
    """
    tables = [load_table(paper, name, scale, root) for paper, name in names]
    if from_result:
        for table in tables:
            restore_records(table, root)
    if where == "processes" and any(_needs_processes(table, root, workers) for table in tables):
        import_early(table.spec.run.partition(":")[0] for table in tables)
    for table in tables:
        if not _finished(table, root):  # finished cells were checked before they ran, and a check imports torch
            check_table(table, root)
    together = [table for table in tables if workers or not table.spec.workers]
    alone = [[table] for table in tables if not (workers or table.spec.workers is None)]
    for group in ([together] if together else []) + alone:
        yield from _bring_up_to_date(group, root, where, workers or group[0].spec.workers, options or {}, deadline)


def reproduce_table(paper: str, name: str, scale: str, root: Path, **where: Any) -> dict[str, Any]:
    """`reproduce_tables` for one: its summary."""
    (summary,) = reproduce_tables([(paper, name)], scale, root, **where)
    return summary


def _needs_processes(table: Table, root: Path, workers: int | None) -> bool:
    return (workers or table.spec.workers) != 1 and not _finished(table, root)


def _finished(table: Table, root: Path) -> bool:
    return all(finished_record(cell, root) for cell in table.cells)


def _bring_up_to_date(
    tables: list[Table], root: Path, where: str, workers: int | None, options: dict[str, Any], deadline: float
) -> Iterator[dict[str, Any]]:
    """Run tables on one executor; write each table's result when its last cell has ended, and yield its summary."""
    with ExitStack() as locks:

        def prepared() -> Iterator[Run]:
            """Each table with its data, which are fetched while the cells of the tables before it run."""
            for table in tables:
                locks.enter_context(_alone(root, table))
                yield _with_data(table, root)

        cells = sum(len(table.cells) for table in tables)
        for done in run_tables(prepared(), cells, root, where, workers, options, deadline):
            yield _written(done, root)


def _with_data(table: Table, root: Path) -> Run:
    """A table whose data are there, or all of whose cells cannot run."""
    try:
        for name in table.spec.data_sets:
            data.ensure(name, root, table.cells[0].config["data"]["source"])
    except DataMissing as error:
        return Run(table, [Finished(cell, "not run", None, published(error, root)) for cell in table.cells])
    # The checksum of a set that cannot be pinned is known only now.
    if checksums(table.spec, table.cells[0].config, root) != table.cells[0].data:
        table = load_table(table.paper, table.name, table.scale, root)
    return Run(table)


def _written(done: Run, root: Path) -> dict[str, Any]:
    """Write a table's result; its summary: cells run, reused, failed, not run, and seconds."""
    table = done.table
    paper, name, scale = table.paper, table.name, table.scale
    result = result_of(table, done.finished, root)
    path = result_path(root, paper, name, scale)
    if path.exists() and any(end.outcome == "reused" for end in done.finished):
        result = replace(result, restamps=[one for one in read_result(path).restamps if one.new == result.fingerprint])
    if scale in DECIDING:
        result, _ = with_floors(result, root)
    kept = {
        cell.id: (cell.record_path(root), result.records[cell.id]) for cell in table.cells if cell.id in result.records
    }
    write_result(path, replace(result, items=items.collect(kept, path)))
    counts = Counter(end.outcome for end in done.finished)
    began = (
        datetime.fromisoformat(end.record["started"]) for end in done.finished if end.outcome == "run" and end.record
    )
    summary = {
        "table": f"{paper}/{name}",
        "scale": scale,
        "rows": {status: sum(row.status == status for row in result.rows) for status in ("ok", "failed", "not run")},
        "cells": {outcome: counts[outcome] for outcome in ("run", "reused", "failed", "not run")},
        "seconds": round(time.time() - min((one.timestamp() for one in began), default=done.started), 1),
        "ended": time.time(),
        "reasons": sorted({row.reason for row in result.rows if row.reason}),
        "source": table.cells[0].config.get("data", {}).get("source"),
    }
    last = summary_path(root, paper, name, scale)
    # If nothing was run, the summary of the run that made the result stays: a stage comes after the tables were run
    # together.
    if counts["reused"] < len(done.finished) or not last.exists() or files.read_json(last)["rows"] != summary["rows"]:
        files.write_json(last, summary)
    return summary


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
    """Bring everything up to date for the scales of `params.yaml`, then print one line per table and the report's path.

    The tables whose stages DVC would run are run here first, together. Each of their stages then finds its cells
    finished and only records them; `dvc repro` alone, or of one stage, gives the same results. `quick` results are not
    evidence and not in Git, and neither are DVC's records of them: if nothing else is asked for, no stage is run, and
    the checkout stays unchanged.
    """
    started = time.time()
    scales = read_scales(root)
    recorded = any(scale in DECIDING for scale in scales)
    if recorded:
        _dvc(root, "repro", "fingerprints")
    code = 0
    try:
        for scale, names in (outdated(root, scales) if recorded else dict.fromkeys(scales, _tables(root))).items():
            for summary in reproduce_tables(names, scale, root):
                tqdm.write(line(summary))
                # Data from the user's own folder are not available in a fresh clone; their tables say so.
                code |= bool(
                    summary["rows"]["failed"] or (summary["rows"]["not run"] and summary["source"] != "folder")
                )
    except UserError as error:  # every other table has its own stage, and so does the one that has an error
        others = "The stages continue one by one." if recorded else "Mend it, or run the other tables by their names."
        print(f"error: {error}\n{others}", file=sys.stderr, flush=True)
        code = 2
    if recorded:
        code = _dvc(root, "repro", "--keep-going").returncode
    failed = 0
    print()
    for scale in scales:
        for paper, name in _tables(root):
            path = summary_path(root, paper, name, scale)
            there = path.exists() and result_path(root, paper, name, scale).exists()
            print(
                line(files.read_json(path), started)
                if there
                else f"{paper + '/' + name:<32} {scale:<7} not run: see the messages above"
            )
            failed += not there
    if not recorded or (
        code and failed
    ):  # a failed stage keeps DVC from writing the report; what exists should be visible all the same
        subprocess.run([sys.executable, "-m", "regard_lab.report"], cwd=root, check=False)
    page = "reports/index.html" if recorded else "reports/quick/index.html"
    print(f"\n{time.time() - started:.0f} s in all. The report: {page}")
    return code


def outdated(root: Path, scales: list[str]) -> dict[str, list[tuple[str, str]]]:
    """The tables whose stages DVC would run, by scale, in the order of the report; all of them where DVC cannot say."""
    answer = _dvc(root, "status", "--json", stdout=subprocess.PIPE, text=True)
    stages = json.loads(answer.stdout) if answer.returncode == 0 else None
    return {
        scale: [
            (paper, name)
            for paper, name in _tables(root)
            if stages is None or f"pipelines/{paper}/dvc.yaml:table@{name}-{scale}" in stages
        ]
        for scale in scales
    }


def _dvc(root: Path, *words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    _without_git(root)
    return subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, **options)


def _without_git(root: Path) -> None:
    """In an archive without `.git`, tell DVC so; else it refuses to work, or uses a repository around the archive."""
    local = root / ".dvc" / "config.local"  # which Git does not see
    if not (root / ".git").exists() and not local.exists():
        files.write_atomically(local, "[core]\n    no_scm = true\n")


def _tables(root: Path) -> list[tuple[str, str]]:
    """Paper and name of every table that is run."""
    return [(paper, name) for paper in papers(root) for name in find_project(paper, root).tables(root)]


def read_scales(root: Path) -> list[str]:
    """The scales that `params.yaml` asks for, checked."""
    path = root / "params.yaml"
    try:
        scales = yaml.safe_load(path.read_text(encoding="utf-8"))["scales"]
    except FileNotFoundError:
        find_project("", root)  # says where the repository is
        raise UserError(f"{path} is missing; it must hold a list `scales:`") from None
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(f"{path} must hold a list `scales:` ({type(error).__name__}: {error})") from None
    if not isinstance(scales, list) or not scales:
        raise UserError(f"{path}: scales must be a list such as [quick], got {scales!r}")
    return [check_scale(str(scale)) for scale in scales]


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
                f"{table.paper}/{table.name} at {table.scale} is being run by another process; wait for it or stop it"
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
    parser.add_argument(
        "--workers",
        type=int,
        default=None,
        help="how many cells at once (default: one per GPU, or per core without any)",
    )
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="no cell begins after so long; the result has those that did"
    )
    parser.add_argument(
        "--from-result", action="store_true", help="do not run again what the result in Git has from this very code"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what the tables need, and what of it is missing; nothing is run"
    )
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
        if arguments.dry_run:
            raise UserError("--dry-run goes with tables, such as better_attention/imdb")
        if arguments.from_result or arguments.minutes != math.inf:
            raise UserError("--minutes and --from-result go with tables, such as better_attention/imdb")
        if arguments.scale:
            raise UserError("--scale goes with a table; for everything, list the scales in params.yaml")
        return reproduce_all(root)
    if not arguments.minutes > 0:
        raise UserError(f"--minutes must be more than 0, got {arguments.minutes:g}")
    if arguments.workers is not None and arguments.workers < 1:
        raise UserError(f"--workers must be at least 1, got {arguments.workers}")
    names = [_split(table) for table in arguments.tables]
    if arguments.dry_run:
        return dry(names, check_scale(arguments.scale or "quick"), root)
    options: dict[str, Any] = {}
    for option in arguments.option:
        key, equals, value = option.partition("=")
        if not equals:
            raise UserError(f"--option takes KEY=VALUE, got {option!r}")
        options[key] = read_value(key, value)
    code = 0
    for summary in reproduce_tables(
        names,
        check_scale(arguments.scale or "quick"),
        root,
        where=arguments.executor,
        workers=arguments.workers,
        options=options,
        deadline=time.time() + 60 * arguments.minutes,
        from_result=arguments.from_result,
    ):
        tqdm.write(line(summary))
        sys.stdout.flush()
        code |= bool(summary["rows"]["failed"] or summary["rows"]["not run"])
    return code


def dry(names: list[tuple[str, str]], scale: str, root: Path) -> int:
    """Print what each table needs; 1 if something is missing."""
    from regard_lab import dry_run

    states = [dry_run.dry_run(paper, name, scale, root) for paper, name in names]
    print("\n\n".join(map(dry_run.show, states)))
    return int(any(one.missing for one in states))


def _split(table: str) -> tuple[str, str]:
    paper, _, name = table.partition("/")
    if not name:
        raise UserError(f"a table is named PAPER/TABLE, such as better_attention/imdb; got {table!r}")
    return paper, name


if __name__ == "__main__":
    sys.exit(main())
