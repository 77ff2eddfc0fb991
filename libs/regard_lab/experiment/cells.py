"""A cell: the work behind one number, a resolved config with a seed. It runs once, leaves a record, and is not run again until something changes.

    runs/<scale>/<paper>/<table>/<cell>.json      the record: metrics, config, fingerprint, data, versions, device, seed, time, memory
    runs/<scale>/<paper>/<table>/<cell>/          what a run needs to be resumed: checkpoints, TensorBoard logs

An interrupted cell resumes from its folder if that was made by the same config, code and data; otherwise it starts
over.
"""

import contextlib
import datetime
import os
import shutil
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
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

    @property
    def devices(self) -> int:
        """The number of devices on which its training runs: the largest that any section of its config names."""
        return _devices(self.config)

    def record_path(self, root: Path) -> Path:
        return root / "runs" / self.scale / self.paper / self.table / f"{self.id}.json"

    def folder(self, root: Path) -> Path:
        return self.record_path(root).with_suffix("")


def _devices(values: Any) -> int:
    if not isinstance(values, dict):
        return 1
    own = values.get("devices")
    return max([own if isinstance(own, int) else 1, *map(_devices, values.values())])


Run = Callable[[Any, Path], RunResult]


@dataclass(frozen=True)
class Finished:
    """How a cell ended: its record, or the reason why there is none."""

    cell: Cell
    outcome: Outcome
    record: dict[str, Any] | None
    reason: str = ""


def finished_record(cell: Cell, root: Path) -> dict[str, Any] | None:
    """The record of a cell that has run with exactly this config, code and data, or `None`."""
    path = cell.record_path(root)
    if not path.exists():
        return None
    try:
        record: Any = files.read_json(path)
    except UserError:  # damaged by something other than our atomic writes: treated as absent
        return None
    complete = isinstance(record, dict) and all(isinstance(record.get(name), dict) for name in ("metrics", "curves"))
    return record if complete and record.get("identity") == cell.identity() else None


def run_cell(cell: Cell, root: Path, keep: Literal["best", "last", "none"] = "none") -> Finished:
    """Run a cell, or reuse its record.

    Args:
        cell: What to run.
        root: The folder of the repository.
        keep: Whether its weights stay (`regard_lab.experiment.kept_runs`).

    Returns:
        How it ended. An error in the run is an outcome (`failed`), and so is missing data (`not run`). The same holds
        for the user's errors, so that a table's other cells are still run.
    """
    if record := finished_record(cell, root):
        return Finished(cell, "reused", record)
    try:
        return _run_anew(cell, root, keep)
    except DataMissing as error:
        return Finished(cell, "not run", None, published(error, root))
    except UserError as error:
        return Finished(cell, "failed", None, published(error, root))
    except (Exception, SystemExit) as error:  # a library that ends the process must not end the others' work
        with contextlib.suppress(UserError, OSError):
            files.write_atomically(cell.folder(root) / "error.txt", traceback.format_exc())
        return Finished(cell, "failed", None, f"{type(error).__name__}: {published(error, root)}")


def published(error: BaseException, root: Path) -> str:
    """The message of an error, without paths of this machine, because reports are published."""
    return str(error).replace(f"{root.resolve()}/", "").replace(f"{Path.home()}/", "~/")


def _run_anew(cell: Cell, root: Path, keep: Literal["best", "last", "none"]) -> Finished:
    import torch

    from regard_lab.experiment.config import typed
    from regard_lab.experiment.kept_runs import write_kept
    from regard_lab.experiment.project import load
    from regard_lab.experiment.summaries import write_summaries
    from regard_lab.training.kept import keeping

    # What cuBLAS needs to be deterministic, before anything uses it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    folder = _prepare_folder(cell, root)
    # One thread gives the same sums in the same order under every executor; two processes beat two threads here.
    torch.set_num_threads(1)
    machine.reset_peak_memory()
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    run: Run = load(cell.run)
    kept: AbstractContextManager[list[Path]] = keeping() if keep != "none" else contextlib.nullcontext([])
    with kept as artefacts:
        measured = run(typed(load(cell.schema), cell.config), folder)
    _check_finite(measured)
    wall_time_s = time.perf_counter() - clock
    kept_items = items.keep(measured, cell.id, cell.record_path(root))
    write_summaries(folder, cell.config, measured)
    if keep != "none":
        write_kept(cell, folder, measured.metrics, artefacts, keep)
    record = {
        "identity": cell.identity(),
        "run": cell.run,
        "key": cell.key,
        "metrics": measured.metrics,
        "curves": measured.curves,
        "exhibits": measured.exhibits,
        **({"items": kept_items} if kept_items else {}),
        "started": started.isoformat(timespec="seconds"),
        "wall_time_s": round(wall_time_s, 2),
        "peak_mib": round(machine.peak_memory_mib(), 1),
        "versions": machine.versions(),
        "environment": machine.environment(),
        "revision": machine.revision(root),
    }
    files.write_json(cell.record_path(root), record)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # only needed to resume; the record stays
    return Finished(cell, "run", record)


def _prepare_folder(cell: Cell, root: Path) -> Path:
    """The cell's folder, emptied if its content was made by a different config, code or data."""
    folder, identity = cell.folder(root), cell.identity()
    mark = folder / "identity.json"
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
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
