"""`python -m regard_lab.restamp PAPER/TABLE … --scale laptop` proves that changed code gives the numbers of a result, and keeps the result.

Normally a stale result has to be made again. But if a change has moved no number, a few cells can prove it: one seed of
one row of every kind is run under the current code and compared, metric by metric, with the result. Training here is
reproducible to the last bit, so the comparison is of bits, not within a tolerance; times and memory are left out,
because no two runs share them. If everything is equal, the result takes the new fingerprint and keeps the proof
(`restamps` in its file, shown on its record page). If anything differs, nothing is changed and the difference is named.

The bits depend on the processor. `--against REVISION` also runs the same cells under that revision's code on this
machine, and compares with those instead of the record; the revision must have the result's fingerprint.

Two rows are of one kind if they reach the same definitions, their keys differ only in numbers, and their configs have
changed in the same way. A cell that reaches no change needs no proof.
"""

import argparse
import datetime
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from regard_lab import data
from regard_lab.common import files, machine
from regard_lab.common.errors import UserError, command
from regard_lab.experiment.cells import Cell, Finished, run_cell
from regard_lab.experiment.executors import executor
from regard_lab.experiment.experiment_file import check_scale
from regard_lab.experiment.project import check_named
from regard_lab.experiment.results import DataUse, Restamp, Result, Row, read_result, result_path, write_result
from regard_lab.experiment.tables import Table, check_table, load_table
from regard_lab.status import config_changes

RECORD = "the record"
FOLDER = Path("runs/restamp")
TIMES = {"s", "ms", "MiB"}  # units of quantities that never agree between two runs
TIMED = {"time", "times", "speed", "speedup", "memory", "latency"}  # words in the names of ratios of such
RATIOS = {"×", "tokens"}

# Runs cells under another revision's code, in a process of its own; its modules may have been elsewhere.
RUN_CELLS = """
import sys
from pathlib import Path
# By where the file is: an editable install would find a module that the revision does not have among the current ones.
if Path("libs/regard_lab/cells.py").exists():
    from regard_lab.cells import run_cell
    from regard_lab.tables import load_table
else:
    from regard_lab.experiment.cells import run_cell
    from regard_lab.experiment.tables import load_table
paper, name, scale, *wanted = sys.argv[1:]
table = load_table(paper, name, scale, Path.cwd())
print(table.fingerprint)
for cell in table.cells:
    if cell.id in wanted:
        end = run_cell(cell, Path.cwd())
        if end.record is None:
            sys.exit(f"{cell.id}: {end.outcome}: {end.reason}")
"""


@dataclass(frozen=True)
class Comparison:
    """What was equal in every cell, what was left out as time or memory, and each difference in words."""

    compared: list[str]
    left_out: list[str]
    differences: list[str]


def restamp(
    paper: str, name: str, scale: str, root: Path, *, against: str | None = None, workers: int | None = None
) -> Restamp | None:
    """Prove that the current code gives the numbers of a table's result, and give the result the code's fingerprint.

    Args:
        paper: The project.
        name: The table.
        scale: `quick`, `laptop` or `paper`.
        root: The folder of the repository.
        against: The revision whose code made the result, to be run on this machine too. Default: compare with the
            result's own records.
        workers: How many cells run at once. Default: one per core.

    Returns:
        The proof, or `None` for a result that is current.

    Raises:
        UserError: A metric differs, or the table has changed in more than its code and configs; the result is left as it was.
    """
    check_named(paper, name, root)
    path = result_path(root, paper, name, scale)
    if not path.exists():
        raise UserError(
            f"{paper}/{name} has no result at scale {scale}; run it: make reproduce TABLE={paper}/{name} SCALE={scale}"
        )
    result, table = read_result(path), load_table(paper, name, scale, root)
    if result.fingerprint == table.fingerprint:
        return None
    _check_same_shape(result, table)
    check_table(table, root)
    for data_set in table.spec.data_sets:
        data.ensure(data_set, root, table.cells[0].config["data"]["source"])
    cells = one_of_each_kind(result, table)
    if not cells:
        raise UserError(f"{paper}/{name} at {scale} is stale though no cell of it has changed: run it again")
    with ThreadPoolExecutor(2) as pool:  # the old code's process beside those of the new one
        old_runs = pool.submit(_old_records, result, cells, against, root) if against else None
        new = _new_records(table, cells, root, workers)
        old = old_runs.result() if old_runs else {cell.id: result.records[cell.id] for cell in cells}
    comparison = compare(old, new, result)
    if comparison.differences:
        there = {result.records[cell.id].get("environment", {}).get("device") for cell in cells}
        here = machine.environment()["device"]
        hint = (
            f"; the record was made on {_words(there)}, this machine is {here}: try --against REVISION"
            if not against and there != {here}
            else ""
        )
        raise UserError(
            f"{paper}/{name} at {scale} keeps its old fingerprint: {'; '.join(comparison.differences)}{hint}"
        )
    if not comparison.compared:
        raise UserError(
            f"{paper}/{name} measures nothing but times and memory ({_words(comparison.left_out)}): run it again"
        )
    proof = Restamp(
        old=result.fingerprint,
        new=table.fingerprint,
        cells=[cell.id for cell in cells],
        compared=comparison.compared,
        left_out=comparison.left_out,
        against=against or RECORD,
        device=str(machine.environment()["device"]),
        revision=machine.revision(root),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )
    write_result(path, moved(result, table, root, proof))
    _move_records(result, table, root)
    return proof


def one_of_each_kind(result: Result, table: Table) -> list[Cell]:
    """Of the changed cells the first seed of the first row of every kind (code, words of the key, change of config)."""
    chosen: dict[tuple[Any, ...], Cell] = {}
    for cell in sorted(table.cells, key=lambda cell: cell.seed):
        identity = result.records[cell.id]["identity"]
        if (identity["fingerprint"], identity["config"]) == (cell.fingerprint, cell.config):
            continue
        words = tuple((name, value) for name, value in cell.key.items() if isinstance(value, str | bool))
        change = tuple(config_changes(result.records[cell.id]["identity"]["config"], cell.config))
        chosen.setdefault((cell.fingerprint, *words, change), cell)
    return list(chosen.values())


def compare(old: Mapping[str, dict[str, Any]], new: Mapping[str, dict[str, Any]], result: Result) -> Comparison:
    """Two sets of records of the same cells, compared to the last bit."""
    units = {name: metric.unit for row in result.rows for name, metric in row.metrics.items()}
    units |= {name: curve.unit for row in result.rows for name, curve in row.curves.items()}
    compared: dict[str, None] = {}
    left_out: dict[str, None] = {}
    differences = []
    for cell, record in new.items():
        for kind in ("metrics", "curves", "exhibits"):
            before, now = old[cell].get(kind, {}), record.get(kind, {})
            for name in dict.fromkeys([*before, *now]):
                if is_timed(name, units.get(name, "")):
                    left_out[name] = None
                elif name not in before or name not in now:
                    differences.append(f"{cell}: {name} is {'new' if name in now else 'gone'}")
                elif before[name] != now[name]:
                    said = (
                        f"{before[name]!r} → {now[name]!r}"
                        if kind == "metrics"
                        else f"another {kind.removesuffix('s')}"
                    )
                    differences.append(f"{cell}: {name} {said}")
                else:
                    compared[name] = None
    return Comparison(list(compared), list(left_out), differences)


def is_timed(name: str, unit: str) -> bool:
    """Is this a time or memory, or a ratio of such?"""
    return unit in TIMES or (unit in RATIOS and bool(set(name.split("_")) & TIMED))


def moved(result: Result, table: Table, root: Path, proof: Restamp) -> Result:
    """The result with the fingerprints, configs and units of the current table, and one more proof."""
    cells = {cell.id: cell for cell in table.cells}
    rows = [_with_units(row, table) for row in result.rows]
    records = {
        name: record | {"identity": cells[name].identity() | {"data": record["identity"]["data"]}}
        for name, record in result.records.items()
    }
    return replace(
        result,
        fingerprint=table.fingerprint,
        data=[DataUse(use.name, table.spec.data_sets[use.name], use.sha256) for use in result.data],
        rows=rows,
        records=records,
        code=table.definitions(root),
        restamps=[*result.restamps, proof],
    )


def _with_units(row: Row, table: Table) -> Row:
    metrics = {name: replace(metric, unit=table.spec.metrics[name]) for name, metric in row.metrics.items()}
    curves = {name: replace(curve, unit=table.spec.curves[name]) for name, curve in row.curves.items()}
    return replace(row, metrics=metrics, curves=curves)


def _check_same_shape(result: Result, table: Table) -> None:
    """Rows, seeds, metrics and data must be those of the result, because a proof is about code only."""
    where = f"{table.paper}/{table.name} at {table.scale} cannot be restamped, run it again: "
    if [row.key for row in result.rows] != [cells[0].key for cells in table.rows]:
        raise UserError(f"{where}its rows have changed")
    ids = [cell.id for cell in table.cells]
    if missing := [name for name in ids if name not in result.records]:
        raise UserError(f"{where}the result lacks {len(missing)} of {len(ids)} cells ({missing[0]} …)")
    if more := [name for name in result.records if name not in ids]:
        raise UserError(f"{where}the result has {len(more)} cells that the table no longer has ({more[0]} …)")
    names = {name for row in result.rows for name in row.metrics}
    if names != set(table.spec.metrics):
        raise UserError(f"{where}its metrics have changed: {_words(names ^ set(table.spec.metrics))}")
    was = {use.name: use.sha256 for use in result.data}
    if changed := sorted({name for cell in table.cells for name, sha in cell.data.items() if was.get(name) != sha}):
        raise UserError(f"{where}its data have changed: {_words(changed)}")


def _new_records(table: Table, cells: list[Cell], root: Path, workers: int | None) -> dict[str, dict[str, Any]]:
    """Run the cells under the current code, beside the table's own records."""
    apart = [replace(cell, id=f"restamp/{cell.id}") for cell in cells]
    count = min(workers or table.spec.workers or os.cpu_count() or 1, len(apart))
    with executor("processes", workers=count) as pool:
        futures = [pool.submit(run_cell, cell, root) for cell in apart]
        ends: list[Finished] = [future.result() for future in futures]
    records = {}
    for cell, end in zip(cells, ends, strict=True):
        if end.record is None:
            raise UserError(f"{table.paper}/{table.name}, {cell.id}: {end.outcome}: {end.reason}")
        records[cell.id] = end.record
    return records


def _old_records(result: Result, cells: list[Cell], revision: str, root: Path) -> dict[str, dict[str, Any]]:
    """Run the cells under a revision's code, in a copy of it below `runs/restamp`, which may be deleted at any time."""
    folder = _checked_out(revision, root)
    paths = os.pathsep.join([str(folder / "libs"), str(folder)])
    names = [result.paper, result.table, result.scale, *(cell.id for cell in cells)]
    done = subprocess.run(
        [sys.executable, "-c", RUN_CELLS, *names],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(
            f"the cells of {revision} did not run: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
        )
    fingerprint = next((line for line in done.stdout.splitlines() if len(line) == 64), "")
    known = {result.fingerprint, *(one.old for one in result.restamps)}
    if fingerprint not in known:
        raise UserError(
            f"the code of {revision} did not make the result of {result.paper}/{result.table}: its fingerprint there is"
            f" {fingerprint[:12]}…, the result has {result.fingerprint[:12]}…"
        )
    below = folder / "runs" / result.scale / result.paper / result.table
    return {cell.id: files.read_json(below / f"{cell.id}.json") for cell in cells}


def _checked_out(revision: str, root: Path) -> Path:
    """A copy of a revision's files that shares this repository's data."""
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "--verify", "--short=12", f"{revision}^{{commit}}"],
            cwd=root,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        raise UserError(f"there is no revision {revision!r} in this repository") from None
    folder = root / FOLDER / commit
    if not (folder / "pyproject.toml").exists():
        folder.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", commit], cwd=root, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
        (root / "data").mkdir(exist_ok=True)
        (folder / "data").symlink_to((root / "data").resolve(), target_is_directory=True)
    return folder


def _move_records(result: Result, table: Table, root: Path) -> None:
    """Move the records below `runs/` too, so that a later run of the table finds its cells done."""
    for cell in table.cells:
        path = cell.record_path(root)
        if path.exists():
            record = files.read_json(path)
            old, own = result.records[cell.id]["identity"], record["identity"]
            if own["fingerprint"] == old["fingerprint"] and own["config"] == old["config"]:
                files.write_json(path, record | {"identity": cell.identity()})


def _words(items: Any) -> str:
    return ", ".join(sorted(map(str, items)))


@command
def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m regard_lab.restamp", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="+", metavar="PAPER/TABLE")
    parser.add_argument("--scale", default="laptop", help="quick, laptop or paper (default: laptop)")
    parser.add_argument(
        "--against", default=None, metavar="REVISION", help="compare with this revision's code, run here"
    )
    parser.add_argument("--workers", type=int, default=None, help="how many cells at once (default: one per core)")
    arguments = parser.parse_args()
    scale, failed = check_scale(arguments.scale), 0
    for table in arguments.tables:
        paper, _, name = table.partition("/")
        if not name:
            raise UserError(f"a table is named PAPER/TABLE, such as better_attention/imdb; got {table!r}")
        try:
            proof = restamp(paper, name, scale, Path.cwd(), against=arguments.against, workers=arguments.workers)
        except UserError as error:
            failed += 1
            print(error, flush=True)
            continue
        said = (
            "is current: nothing to prove"
            if proof is None
            else f"stands: {len(proof.cells)} cells equal to {proof.against} in {len(proof.compared)} values each"
        )
        print(f"{table} at {scale} {said}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
