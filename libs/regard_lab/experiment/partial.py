"""A table that takes longer than one sitting: stopped after some minutes, written as far as finished, and continued
later.

The result of such a table is in Git and contains its records, so the run can be continued another day or on another
machine:

    python -m regard_lab.reproduce cab/lm --scale laptop --minutes 60                 # rows without all of their seeds say "not run"
    python -m regard_lab.reproduce cab/lm --scale laptop --minutes 60 --from-result   # cells that the result has are not run again
"""

import time
from pathlib import Path

from regard_lab.common import files
from regard_lab.experiment import items
from regard_lab.experiment.cells import Cell, Finished, finished_record, run_cell
from regard_lab.experiment.results import read_result, result_path
from regard_lab.experiment.tables import Table


def run_cell_before(cell: Cell, root: Path, deadline: float) -> Finished:
    """Run a cell unless it is too late to start; a cell that has started runs to its end.

    Args:
        cell: What to run.
        root: The folder of the repository.
        deadline: Seconds since 1970 after which no cell begins.

    Returns:
        How it ended: `not run` if the time was up.
    """
    late = time.time() - deadline
    if late > 0 and not finished_record(cell, root):
        return Finished(cell, "not run", None, "the time given to this table was over; run it again to continue")
    return run_cell(cell, root)


def restore_records(table: Table, root: Path) -> int:
    """Put the records from a table's result back under `runs/`, so that their cells count as finished.

    Only records of exactly the table's current config, code and data are taken; a record that is already under `runs/`
    stays.

    Args:
        table: The table.
        root: The folder of the repository.

    Returns:
        How many records were put back.

    Raises:
        UserError: The result, or the file of items beside it, is damaged.
    """
    path = result_path(root, table.paper, table.name, table.scale)
    if not path.exists():
        return 0
    result = read_result(path)
    restored = 0
    for cell in table.cells:
        record = result.records.get(cell.id)
        if record is None or record.get("identity") != cell.identity() or finished_record(cell, root):
            continue
        target = cell.record_path(root)
        if cell.id in result.outcomes:
            beside = items.path_beside(target)
            files.write_atomically(beside, items.packed({cell.id: result.outcomes[cell.id]}))
            record = {**record, "items": {**record["items"], "sha256": files.sha256(beside)}}
        files.write_json(target, record)
        restored += 1
    return restored
