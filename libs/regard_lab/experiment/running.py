"""Run the cells of several tables on one executor; each table is yielded when its last cell has ended."""

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from regard_lab.experiment.cells import Cell, Finished, finished_record
from regard_lab.experiment.executors import Executor, Future, ProcessEnded, as_finished, check_devices, executor
from regard_lab.experiment.partial import run_cell_before
from regard_lab.experiment.tables import Table


@dataclass
class Run:
    """A table that is being run: its finished cells, how many are unfinished, and when it started."""

    table: Table
    finished: list[Finished] = field(default_factory=list)
    left: int = 0
    started: float = field(default_factory=time.time)


def run_cells(table: Table, root: Path, where: str, workers: int | None, options: dict[str, Any]) -> list[Finished]:
    """Run the cells of a table, whose data are there, on an executor; a progress bar says which has just ended."""
    (done,) = run_tables([Run(table)], len(table.cells), root, where, workers, options)
    return done.finished


def run_tables(
    runs: Iterable[Run],
    cells: int,
    root: Path,
    where: str,
    workers: int | None,
    options: dict[str, Any],
    deadline: float = math.inf,
) -> Iterator[Run]:
    """Run the cells of all tables on one executor and yield each table when its last cell has ended. `cells`: how many there are."""
    under_way: dict[Future, tuple[Run, Cell]] = {}
    on_several: list[tuple[Run, Cell]] = []
    pool: Executor | None = None
    local = where in ("inline", "processes")
    with ExitStack() as stack, tqdm(total=cells, unit="cell", disable=None) as bar:
        for run in runs:
            for cell in left_to_run(run, root):
                run.left += 1
                if cell.devices > 1:
                    if local:
                        check_devices(cell.devices)
                    on_several.append((run, cell))
                    continue
                if pool is None:  # not before there is something to run, because starting it takes seconds
                    count = min(workers, cells) if workers else None
                    gpus = int(run.table.scale == "paper")  # a cluster's; smaller scales run on any machine
                    pool = stack.enter_context(executor(where, workers=count, devices=gpus, **options))
                under_way[pool.submit(run_cell_before, cell, root, deadline)] = run, cell
            bar.update(len(run.finished))
            if not run.left:
                yield run

        def ended() -> Iterator[tuple[Run, Cell, Finished]]:
            """Yield cells on one device as they end; then those on several, each of which has the machine to itself."""
            for future in as_finished(under_way):
                yield *under_way[future], end_of(future, under_way[future][1])
            for run, cell in on_several:
                name = "inline" if local else where
                with executor(name, workers=1, devices=cell.devices, **({} if local else options)) as alone:
                    (future,) = as_finished([alone.submit(run_cell_before, cell, root, deadline)])
                    yield run, cell, end_of(future, cell)

        for run, cell, end in ended():
            run.finished.append(end)
            run.left -= 1
            bar.set_description(f"{cell.paper}/{cell.table} {cell.scale}", refresh=False)
            bar.set_postfix_str(f"{cell.id}: {end.outcome}")
            bar.update()
            if not run.left:
                yield run


def left_to_run(run: Run, root: Path) -> list[Cell]:
    """The cells of a table that must be run; the others are noted as finished."""
    ended = {end.cell.id for end in run.finished}
    left = []
    for cell in run.table.cells:
        if cell.id in ended:
            continue
        if record := finished_record(cell, root):
            run.finished.append(Finished(cell, "reused", record))
        else:
            left.append(cell)
    # Seeds outermost: when a run is stopped early, every row has some of its seeds rather than some rows all of theirs.
    return sorted(left, key=lambda cell: cell.seed)


def end_of(future: Future, cell: Cell) -> Finished:
    """How a cell ended. A process that dies is one failed cell and does not end the others."""
    try:
        end: Finished = future.result()
    except ProcessEnded as error:
        return Finished(cell, "failed", None, str(error))
    return end
