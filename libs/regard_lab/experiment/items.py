"""The outcome of each test item, kept compactly beside a result, so that intervals can be over seeds × items.

A `run` function that returns an `ItemisedResult` leaves `runs/…/<cell>.items.npz`; a table's are collected into one file in Git,

    results/<scale>/<paper>/<table>.items.npz      with its SHA-256 in the result

Outcomes that are all 0 or 1 (right or wrong) are packed bits, all others float16, or float32 where that is too coarse:
20 seeds of four rows on 25,000 texts take 250 KB. The same content gives the same bytes. Items are paired by their
number in the test split; `numbers` gives these numbers if a seed draws items of its own.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard_lab.common import files
from regard_lab.common.errors import UserError
from regard_lab.experiment.run_result import RunResult

MANIFEST = "manifest"
HALF_ERROR = 2**-10  # relative; what float16 may lose, far below the accuracy of an item's outcome


@dataclass(frozen=True)
class ItemisedResult(RunResult):
    """A `RunResult` with what came out for each test item. It is a class of its own so that cells without items keep their fingerprints.

    Attributes:
        items: Metric -> one value per item, whose mean is the metric, in its unit or as 0 and 1 for a share in %.
        numbers: The item of the split to which each value belongs. Default: 0, 1, 2 …
    """

    items: Mapping[str, Sequence[float]] = field(default_factory=dict)
    numbers: Sequence[int] | None = None


@dataclass(frozen=True)
class Outcomes:
    """One metric of one cell: `values[i]` belongs to item `numbers[i]`."""

    values: NDArray[np.float64]
    numbers: NDArray[np.int64]


ByCell = Mapping[str, Mapping[str, Outcomes]]  # cell -> metric -> outcomes


def path_beside(path: Path) -> Path:
    """The file of items beside a record or a result."""
    return path.with_suffix(".items.npz")


def outcomes_of(measured: ItemisedResult) -> dict[str, Outcomes]:
    """Its items as arrays; lengths that disagree, or a mean that is not the metric's, are a `ValueError`."""
    outcomes = {}
    for metric, values in measured.items.items():
        array = np.asarray(values, dtype=np.float64)
        numbers = np.arange(len(array)) if measured.numbers is None else np.asarray(measured.numbers, dtype=np.int64)
        if len(numbers) != len(array) or len(set(numbers.tolist())) != len(numbers):
            raise ValueError(f"{metric}: {len(array)} outcomes for {len(set(numbers.tolist()))} different items")
        if metric in measured.metrics:
            mean, value = float(array.mean()), measured.metrics[metric]
            if not any(abs(scale * mean - value) <= 1e-4 * max(1.0, abs(value)) for scale in (1, 100)):
                raise ValueError(
                    f"the mean of {metric} over {len(array)} items is {mean:g}, but the metric is {value:g}"
                )
        outcomes[metric] = Outcomes(array, numbers)
    return outcomes


def packed(cells: ByCell) -> bytes:
    """All outcomes as the bytes of an npz file."""
    arrays: dict[str, NDArray[Any]] = {}
    manifest: dict[str, dict[str, Any]] = {}
    for cell, metrics in cells.items():
        for metric, outcomes in metrics.items():
            kind, array = _compact(outcomes.values)
            name = f"numbers-{files.combined_sha256([outcomes.numbers.tobytes().hex()])[:12]}"
            arrays[f"{cell}/{metric}"] = array
            arrays[name] = outcomes.numbers.astype(np.uint32)
            manifest.setdefault(cell, {})[metric] = {"kind": kind, "n": len(outcomes.values), "numbers": name}
    text = np.frombuffer(json.dumps(manifest, sort_keys=True).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{MANIFEST: text, **dict(sorted(arrays.items()))})
    return buffer.getvalue()


def _compact(values: NDArray[np.float64]) -> tuple[str, NDArray[Any]]:
    if np.isin(values, (0.0, 1.0)).all():
        return "bits", np.packbits(values.astype(bool))
    half = values.astype(np.float16)
    if np.isfinite(half).all() and (np.abs(half - values) <= HALF_ERROR * np.abs(values).max()).all():
        return "half", half
    return "single", values.astype(np.float32)


def unpacked(content: bytes) -> dict[str, dict[str, Outcomes]]:
    """The outcomes in the bytes of an npz file."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        manifest = json.loads(stored[MANIFEST].tobytes())
        return {
            cell: {
                metric: Outcomes(
                    _values(stored[f"{cell}/{metric}"], said["kind"], said["n"]),
                    stored[said["numbers"]].astype(np.int64),
                )
                for metric, said in metrics.items()
            }
            for cell, metrics in manifest.items()
        }


def _values(array: NDArray[Any], kind: str, n: int) -> NDArray[np.float64]:
    return (np.unpackbits(array, count=n) if kind == "bits" else array).astype(np.float64)


def keep(measured: RunResult, cell: str, record: Path) -> dict[str, Any] | None:
    """Write a cell's items, if any, beside its record; returns what the record says about them: checksum and number."""
    if not isinstance(measured, ItemisedResult) or not measured.items:
        return None
    outcomes = outcomes_of(measured)
    path = path_beside(record)
    files.write_atomically(path, packed({cell: outcomes}))
    return {"sha256": files.sha256(path), "n": {metric: len(one.values) for metric, one in outcomes.items()}}


def collect(records: Mapping[str, tuple[Path, Mapping[str, Any]]], result: Path) -> str | None:
    """Gather the items of a table's cells into a file beside its result; returns its checksum, or `None` if there are
    none.

    Args:
        records: Cell -> the path of its record, and the record.
        result: The path of the table's result.
    """
    cells: dict[str, Mapping[str, Outcomes]] = {}
    for path, record in records.values():
        if said := record.get("items"):
            cells |= read(path_beside(path), said["sha256"])
    beside = path_beside(result)
    if not cells:
        beside.unlink(missing_ok=True)
        return None
    files.write_atomically(beside, packed(cells))
    return files.sha256(beside)


def read(path: Path, sha256: str) -> dict[str, dict[str, Outcomes]]:
    """Read a file of items; a missing file, or one with a different checksum, raises a `UserError`."""
    if not path.exists():
        raise UserError(f"{path} does not exist, but its result says that items were kept; run the table again")
    if (actual := files.sha256(path)) != sha256:
        raise UserError(f"{path} has the SHA-256 {actual[:12]}…, its result says {sha256[:12]}…; run the table again")
    return unpacked(path.read_bytes())
