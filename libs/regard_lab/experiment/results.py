"""A table's result: what `results/<scale>/<paper>/<table>.json` holds, all of which can be rebuilt from its cells.

Everything on a page of the report comes from these files and from the projects' `paper.yaml` and `tables/`; no figure script holds a number.
"""

import statistics
import zipfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from regard_lab.common.errors import UserError
from regard_lab.common.files import read_json, write_json
from regard_lab.common.formatting import Key
from regard_lab.experiment import items
from regard_lab.experiment.items import ByCell

Scale = Literal["quick", "laptop", "paper"]
SCALES: tuple[Scale, ...] = ("quick", "laptop", "paper")
DECIDING: tuple[Scale, ...] = ("paper", "laptop")  # best evidence first; quick decides nothing
Status = Literal["ok", "failed", "not run"]
Code = dict[str, dict[str, str]]  # module -> definition -> short hash


@dataclass(frozen=True)
class Metric:
    """One column of one row: one value per seed, their mean and sample standard deviation (`None` for one seed)."""

    unit: str
    values: list[float]
    mean: float
    sd: float | None
    n: int

    @classmethod
    def of(cls, values: list[float], unit: str) -> "Metric":
        sd = statistics.stdev(values) if len(values) > 1 else None
        return cls(unit=unit, values=values, mean=statistics.fmean(values), sd=sd, n=len(values))


@dataclass(frozen=True)
class Curve:
    """A metric over training: `values[seed][epoch]`."""

    unit: str
    values: list[list[float]]


@dataclass(frozen=True)
class Row:
    """One row of a table. `key` says which (`{"attention": "super"}`), `seeds[i]` is the seed of every `values[i]`, `cells` the ids of its records.

    A row is `ok` when every seed has finished, `failed` or `not run` with a `reason` otherwise; the seeds that did finish are kept.
    """

    key: Key
    metrics: dict[str, Metric]
    status: Status
    reason: str
    seeds: list[int]
    cells: list[str]
    curves: dict[str, Curve] = field(default_factory=dict)


@dataclass(frozen=True)
class DataUse:
    """A data set that a table used, and the paper's data set that it replaces (`None`: it is the paper's own)."""

    name: str
    stands_in_for: str | None
    sha256: str


@dataclass(frozen=True)
class Restamp:
    """A proof that new code gives the old code's numbers: cells run again, equal to the last bit in every metric compared.

    Attributes:
        old: The result's old fingerprint.
        new: The result's new fingerprint.
        cells: The cells that were run.
        compared: What was compared and found equal in each cell: metrics, curves, exhibits.
        left_out: Metrics that are times or memory, which never agree between two runs.
        against: What they were compared with: `the record`, or the revision whose code was run on the same machine.
        device: The machine that ran them.
        revision: The revision of the new code.
        date: The day, in UTC.
        note: Why no cell had to be run, if none was.
    """

    old: str
    new: str
    cells: list[str]
    compared: list[str]
    left_out: list[str]
    against: str
    device: str
    revision: str | None
    date: str
    note: str = ""


@dataclass(frozen=True)
class Result:
    """A table at one scale.

    Attributes:
        paper: The project.
        table: The table's name.
        scale: `quick`, `laptop` or `paper`.
        fingerprint: The fingerprint of the code and the configs that made it; data have their own checksums.
        data: The data sets that it used.
        rows: Its rows, in the order of the table's file.
        records: Each cell's record.
        code: A short hash of each definition behind the fingerprint, to say later what changed.
        restamps: Proofs that let the fingerprint follow a change of code.
        floors: Rows of trivial and simple models (`{"floor": "majority"}`), with which the gate compares `rows`.
        floor_records: Each floor's record, by its cell.
        floor_fingerprint: The fingerprint of the floors' code.
        gate: The gate's judgement, for readers of the file.
        items: The SHA-256 of the file of test items beside the result (`regard_lab.experiment.items`); `None` if none
            were kept.
        outcomes: What that file holds, by cell and metric; not in the JSON.
    """

    paper: str
    table: str
    scale: Scale
    fingerprint: str
    data: list[DataUse]
    rows: list[Row]
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    code: Code = field(default_factory=dict)
    restamps: list[Restamp] = field(default_factory=list)
    floors: list[Row] = field(default_factory=list)
    floor_records: dict[str, dict[str, Any]] = field(default_factory=dict)
    floor_fingerprint: str | None = None
    gate: dict[str, Any] | None = None
    items: str | None = None
    outcomes: ByCell = field(default_factory=dict, compare=False, repr=False)

    def row(self, **key: str | int | float | bool) -> Row | None:
        """The row with this key, or `None`."""
        return next((row for row in self.rows if row.key == key), None)


def result_path(root: Path, paper: str, table: str, scale: str) -> Path:
    """The path of a table's result below the repository's root."""
    return root / "results" / scale / paper / f"{table}.json"


def write_result(path: Path, result: Result) -> None:
    """Write a result atomically."""
    value = asdict(replace(result, outcomes={}))
    del value["outcomes"]
    if result.items is None:
        del value["items"]
    write_json(path, value)


def read_result(path: Path) -> Result:
    """Read a result; a file that is missing, truncated or malformed raises one clear `UserError`."""
    value = read_json(path)
    try:
        for name in ("records", "code", "floor_records"):
            if not isinstance(value.get(name, {}), dict):
                raise TypeError(f"{name} is a {type(value[name]).__name__}")
        rows = [_read_row(row) for row in value["rows"]]
        return Result(
            paper=value["paper"],
            table=value["table"],
            scale=value["scale"],
            fingerprint=value["fingerprint"],
            data=[DataUse(**use) for use in value["data"]],
            rows=rows,
            records=value["records"],
            code=value.get("code", {}),
            restamps=[Restamp(**restamp) for restamp in value.get("restamps", [])],
            floors=[_read_row(row) for row in value.get("floors", [])],
            floor_records=value.get("floor_records", {}),
            floor_fingerprint=value.get("floor_fingerprint"),
            gate=value.get("gate"),
            items=value.get("items"),
            outcomes=items.read(items.path_beside(path), value["items"]) if value.get("items") else {},
        )
    except (KeyError, TypeError, AttributeError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is not a table's result ({type(error).__name__}: {error}); delete it and run again"
        ) from None


def _read_row(row: dict[str, Any]) -> Row:
    return Row(
        key=row["key"],
        metrics={name: Metric(**metric) for name, metric in row["metrics"].items()},
        status=row["status"],
        reason=row["reason"],
        seeds=row["seeds"],
        cells=row["cells"],
        curves={name: Curve(**curve) for name, curve in row["curves"].items()},
    )
