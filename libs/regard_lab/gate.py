"""`python -m regard_lab.gate [PAPER/TABLE …] --scale laptop` says which trained tables may be compared row by row, and why others may not.

It computes the floors that a table's file names (`regard_lab.evidence.gate`), unless they already exist with their run
records, writes them with the gate's judgement into `results/<scale>/<paper>/<table>.json`, and prints one line per
table. No cell of the table itself is run.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from regard_lab import data
from regard_lab.common.errors import UserError, command
from regard_lab.common.files import combined_sha256
from regard_lab.evidence.gate import (
    FLOOR,
    STATUSES,
    Gate,
    Judgement,
    judge,
    judge_after,
    problems_of,
    read_after,
    read_gates,
    reference_row,
)
from regard_lab.experiment.cells import Cell, Finished, run_cell
from regard_lab.experiment.experiment_file import check_scale
from regard_lab.experiment.project import check_named, check_root, find_project, papers
from regard_lab.experiment.results import Result, Scale, read_result, result_path, write_result
from regard_lab.experiment.table_file import TableFile, read_table
from regard_lab.experiment.tables import compose_rows, make_cells, row_of

NO_FLOORS: dict[str, Any] = {"floors": [], "floor_records": {}, "floor_fingerprint": None}


def floor_cells(file: TableFile, gates: Sequence[Gate], paper: str, scale: Scale, root: Path) -> list[list[Cell]]:
    """The cells of each floor of each problem: the config is that of the problem's reference row, `run` the floor's function.

    A floor that several gates name is computed once.
    """
    project = find_project(paper, root)
    composed = {tuple(key.items()): config for key, config in compose_rows(project, root, file, scale)}
    keys = [dict(key) for key in composed]
    rows: dict[str, list[Cell]] = {}
    for gate in gates:
        for problem in problems_of(gate, keys):
            reference = reference_row(gate, keys, problem)
            if reference is None:
                continue
            config = composed[tuple(reference.items())]
            for name, floor in gate.floors.items():
                slug = "-".join(str(part) for part in (FLOOR, name, *problem.values()))
                names = {seed: f"{slug}-seed{seed}" for seed in range(floor.seeds)}
                spec = replace(file.spec(project.folder(root), scale), run=floor.run, curves={})
                if slug not in rows:
                    rows[slug] = make_cells(project, config, file.name, names, root, spec, {FLOOR: name, **problem})
    return list(rows.values())


def floors_fingerprint(rows: list[list[Cell]]) -> str:
    """One hash for the code and the configs of every floor."""
    return combined_sha256(
        f"{cell.id} {cell.fingerprint} {sorted(cell.config.items())} {sorted(cell.data.items())}"
        for row in rows
        for cell in row
    )


def with_floors(result: Result, root: Path) -> tuple[Result, Judgement | None]:
    """A table's result with its floors, computed if missing, and the gate's judgement, `None` without a gate."""
    file = read_table(find_project(result.paper, root).folder(root), result.table)
    gates, after = read_gates(file), read_after(file)
    if after:
        judgement = judge_after({name: judgement_of(result.paper, name, result.scale, root) for name in after})
        return replace(result, **NO_FLOORS, gate=as_plain(judgement)), judgement
    if not gates:
        return replace(result, **NO_FLOORS, gate=None), None
    rows = floor_cells(file, gates, result.paper, result.scale, root)
    fingerprint = floors_fingerprint(rows)
    if fingerprint != result.floor_fingerprint or not _complete(result):
        units = file.metrics[result.scale]
        for cell in rows[0][:1] if rows else []:
            for name in cell.data:
                data.ensure(name, root, cell.config["data"]["source"])
        ends = [[run_cell(cell, root) for cell in row] for row in rows]
        result = replace(
            result,
            floors=[row_of(_asked(gates, row, units), {}, row) for row in ends],
            floor_records={end.cell.id: end.record for row in ends for end in row if end.record is not None},
            floor_fingerprint=_whole(ends, fingerprint),
        )
    judgement = judge(gates, result)
    return replace(result, gate=as_plain(judgement)), judgement


def judgement_of(paper: str, table: str, scale: Scale, root: Path) -> Judgement | None:
    """The gate's judgement of a table's result as it is, with existing floors; `None` without a gate or a result."""
    file = read_table(find_project(paper, root).folder(root), table)
    path = result_path(root, paper, table, scale)
    if not path.exists():
        return None
    if after := read_after(file):
        return judge_after({name: judgement_of(paper, name, scale, root) for name in after})
    gates = read_gates(file)
    return judge(gates, read_result(path)) if gates else None


def _asked(gates: Sequence[Gate], row: list[Finished], units: Mapping[str, str]) -> dict[str, str]:
    """The metrics, with their units, that gates compare with this floor."""
    name = row[0].cell.key[FLOOR]
    return {gate.metric: units[gate.metric] for gate in gates if name in gate.floors}


def _complete(result: Result) -> bool:
    """Whether every floor has been computed and has left its record."""
    return all(row.status == "ok" and set(row.cells) <= set(result.floor_records) for row in result.floors)


def _whole(rows: list[list[Finished]], fingerprint: str) -> str | None:
    return fingerprint if all(end.record is not None for row in rows for end in row) else None


def as_plain(judgement: Judgement) -> dict[str, object]:
    """A judgement as it is written in a result's file."""
    return {"status": judgement.status, "problems": [asdict(problem) for problem in judgement.problems]}


def gated_tables(root: Path, scale: Scale, named: list[str]) -> Iterator[tuple[str, str]]:
    """The tables named, or all that have a gate and a result at this scale."""
    for name in named:
        paper, slash, table = name.partition("/")
        if not slash:
            raise UserError(f"a table is named PAPER/TABLE, got {name!r}")
        check_named(paper, table, root)
        yield paper, table
    for paper in papers(root) if not named else []:
        project = find_project(paper, root)
        for table in project.tables(root):
            has_gate = read_table(project.folder(root), table).gate is not None
            if has_gate and result_path(root, paper, table, scale).exists():
                yield paper, table


@command
def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m regard_lab.gate", description=__doc__.splitlines()[0])
    parser.add_argument(
        "tables", nargs="*", metavar="PAPER/TABLE", help="all that have a gate and a result, if none is named"
    )
    parser.add_argument("--scale", default="laptop")
    arguments = parser.parse_args()
    root, scale = Path.cwd(), check_scale(arguments.scale)
    check_root(root)
    counts = dict.fromkeys(STATUSES, 0)
    for paper, table in gated_tables(root, scale, arguments.tables):
        path = result_path(root, paper, table, scale)
        if not path.exists():
            raise UserError(
                f"{paper}/{table} has no result at {scale}: python -m regard_lab.reproduce {paper}/{table} --scale {scale}"
            )
        before = read_result(path)
        result, judgement = with_floors(before, root)
        # Floors take minutes: whatever else has changed in the file in the meantime, such as a proof, is kept.
        if result != before:
            own = {name: getattr(result, name) for name in (*NO_FLOORS, "gate")}
            write_result(path, replace(read_result(path), **own))
        if judgement is None:
            print(f"{paper + '/' + table:<32} has no gate")
            continue
        counts[judgement.status] += 1
        print(f"{paper + '/' + table:<32} {judgement.status:<16} {judgement.sentence}")
    print(", ".join(f"{count} {status}" for status, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
