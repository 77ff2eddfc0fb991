"""A cell: the work behind one number, a resolved config with a seed. It runs once, leaves a record, and is not run again until something changes.

    runs/<scale>/<paper>/<table>/<cell>.json      the record: metrics, config, fingerprint, data, versions, device, seed, time, memory
    runs/<scale>/<paper>/<table>/<cell>/          what a run needs to be resumed: checkpoints, TensorBoard logs

An interrupted cell is resumed from its folder if that was made by the same config, code and data; otherwise it starts over.
"""

import datetime
import shutil
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from regard_lab.common import files, machine
from regard_lab.common.errors import DataMissing, UserError
from regard_lab.common.formatting import Key
from regard_lab.experiment import items
from regard_lab.experiment.run_result import RunResult

Outcome = Literal["run", "reused", "failed", "not run"]


@dataclass(frozen=True)
class Cell:
    """What to run (`run` is `module:function`) and everything that decides whether it must be run."""

    paper: str
    table: str
    scale: str
    id: str
    key: Key
    seed: int
    run: str
    schema: str
    config: dict[str, Any]
    fingerprint: str
    data: dict[str, str]  # name -> SHA-256 of the prepared set
    reaches: tuple[str, ...] = ()  # the definitions that the fingerprint starts from

    def identity(self) -> dict[str, Any]:
        """What must be equal for a record or a checkpoint to be this cell's. The fingerprint covers what `run` does; its name does not matter."""
        return {
            "config": self.config,
            "seed": self.seed,
            "fingerprint": self.fingerprint,
            "data": self.data,
        }

    def record_path(self, root: Path) -> Path:
        return root / "runs" / self.scale / self.paper / self.table / f"{self.id}.json"

    def folder(self, root: Path) -> Path:
        return self.record_path(root).with_suffix("")


Run = Callable[[Any, Path], RunResult]


@dataclass(frozen=True)
class Finished:
    """How a cell ended: its record, or the reason why there is none."""

    cell: Cell
    outcome: Outcome
    record: dict[str, Any] | None
    reason: str = ""


def finished_record(cell: Cell, root: Path) -> dict[str, Any] | None:
    """The record of a cell that has run with this very config, code and data, or `None`."""
    path = cell.record_path(root)
    if not path.exists():
        return None
    try:
        record: dict[str, Any] = files.read_json(path)
    except UserError:  # truncated by something other than our atomic writes: as good as absent
        return None
    return record if record.get("identity") == cell.identity() else None


def run_cell(cell: Cell, root: Path) -> Finished:
    """Run a cell, or reuse its record.

    Args:
        cell: What to run.
        root: The folder of the repository.

    Returns:
        How it ended. An error of the run is an outcome (`failed`), and so is missing data (`not run`).

    Raises:
        UserError: Something that a user can fix.
    """
    import torch

    from regard_lab.experiment.config import typed
    from regard_lab.experiment.project import load

    if record := finished_record(cell, root):
        return Finished(cell, "reused", record)
    folder = _prepare_folder(cell, root)
    # The same sums in the same order, whichever executor runs the cell; two processes beat two threads here.
    torch.set_num_threads(1)
    machine.reset_peak_memory()
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    try:
        run: Run = load(cell.run)
        measured = run(typed(load(cell.schema), cell.config), folder)
        _check_finite(measured)
        kept = items.keep(measured, cell.id, cell.record_path(root))
    except DataMissing as error:
        return Finished(cell, "not run", None, str(error))
    except UserError:
        raise
    except Exception as error:
        files.write_atomically(folder / "error.txt", traceback.format_exc())
        # Reports are published: no path of this machine.
        message = f"{type(error).__name__}: {error}".replace(f"{root.resolve()}/", "")
        return Finished(cell, "failed", None, message)
    record = {
        "identity": cell.identity(),
        "run": cell.run,
        "key": cell.key,
        "metrics": measured.metrics,
        "curves": measured.curves,
        "exhibits": measured.exhibits,
        **({"items": kept} if kept else {}),
        "started": started.isoformat(timespec="seconds"),
        "wall_time_s": round(time.perf_counter() - clock, 2),
        "peak_mib": round(machine.peak_memory_mib(), 1),
        "versions": machine.versions(),
        "environment": machine.environment(),
        "revision": machine.revision(root),
    }
    files.write_json(cell.record_path(root), record)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # only needed to resume; the record stays
    return Finished(cell, "run", record)


def _prepare_folder(cell: Cell, root: Path) -> Path:
    """The cell's folder, emptied if what it holds was made by another config, code or data."""
    folder, identity = cell.folder(root), cell.identity()
    mark = folder / "identity.json"
    if folder.exists():
        try:
            same = files.read_json(mark) == identity
        except UserError:
            same = False
        if not same:
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(mark, identity)
    return folder


def _check_finite(measured: RunResult) -> None:
    bad = {name: value for name, value in measured.metrics.items() if not -float("inf") < value < float("inf")}
    if bad:
        raise ArithmeticError(f"not a finite number: {', '.join(f'{name} = {value}' for name, value in bad.items())}")
