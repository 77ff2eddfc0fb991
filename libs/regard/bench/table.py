"""Rows of measurements and their csv files, `<what>-<dtype>-<torch>-<device>.csv`.

There is one file per pattern, direction and environment.

A row that is measured again replaces the old one; all others stay. Every row says when and with what it was made.
"""

import csv
import io
import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from regard.bench.cases import NAMES, Case
from regard.common.patterns import ALL_PATTERNS
from regard.loading import BadRequest

FOLDER = Path("benchmarks/results")


@dataclass(frozen=True)
class Environment:
    """What a measurement depends on besides the code."""

    torch: str
    processor: str
    cores: int
    threads: int

    @property
    def slug(self) -> str:
        """For a file's name: torch's version, the device and its threads."""
        device = re.sub(r"\((r|tm)\)|cpu|processor|@.*", "", self.processor.lower())
        words = re.findall(r"[a-z0-9.]+", device)
        return f"{self.torch.partition('+')[0]}-{'_'.join(words)}_{self.threads}t"


@dataclass(frozen=True)
class Row:
    """A case with what was measured of it; `None` is not measured, and `skipped` says why not.

    `time_s`: median of `repeats` calls, `spread_s` the distance between their quartiles. `baseline_s`: the median of
    fused softmax attention, measured in turns with this case. `peak_mib`: the most memory held beyond inputs and
    parameters, the output included; `resident_mib`: the most that the process held. Both are of a fresh process.
    `doubling`: how many times as long it took as at half the length, both in turns.
    """

    case: Case
    environment: Environment
    date: str
    time_s: float | None = None
    spread_s: float | None = None
    repeats: int = 0
    baseline_s: float | None = None
    peak_mib: float | None = None
    resident_mib: float | None = None
    doubling: float | None = None
    skipped: str = ""

    @property
    def speed(self) -> float | None:
        """Times as fast as fused softmax attention."""
        return self.baseline_s / self.time_s if self.baseline_s and self.time_s else None

    @property
    def peak_ratio(self) -> float | None:
        """Peak memory in units of q + k + v + out."""
        case = self.case
        unit_mib = 4 * case.batch * case.heads * case.n * case.head_width * itemsize(case.dtype) / 2**20
        return None if self.peak_mib is None else self.peak_mib / unit_mib


MEASURED = ("time_s", "spread_s", "repeats", "baseline_s", "peak_mib", "resident_mib", "doubling", "skipped")
ENVIRONMENT = tuple(field.name for field in fields(Environment))
COLUMNS = (*NAMES, *MEASURED, *ENVIRONMENT, "date")


def itemsize(dtype: str) -> int:
    """Bytes of one number."""
    parsed: torch.dtype = getattr(torch, dtype)
    return parsed.itemsize


def environment(threads: int, device: str = "cpu") -> Environment:
    """The environment of this machine."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else processor()
    return Environment(torch.__version__, name, os.cpu_count() or 1, threads)


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def now() -> str:
    """The date and time in UTC, to the minute."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M")


def file_of(row: Row) -> str:
    """The name of the file that holds the row."""
    case = row.case
    what = case.pattern + ("-backward" if case.backward else "")
    return f"{what}-{case.dtype}-{row.environment.slug}.csv"


def write(folder: Path, rows: Iterable[Row]) -> list[Path]:
    """Put rows into their files, in place of older ones of the same case.

    Args:
        folder: Where the files are.
        rows: The new rows.

    Returns:
        The files that were written.
    """
    by_file: dict[str, list[Row]] = {}
    for row in rows:
        by_file.setdefault(file_of(row), []).append(row)
    written = []
    for name, new in by_file.items():
        path = folder / name
        together = {row.case: row for row in read(path)} if path.exists() else {}
        together |= {row.case: row for row in new}
        _write(path, as_csv(sorted(together.values(), key=_order)))
        written.append(path)
    return written


def _order(row: Row) -> Any:
    case = row.case
    return case.level != "mix", case.mechanism, case.options, case.form, case.batch, case.heads, case.head_width, case.n


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8", newline="")
    os.replace(part, path)


def as_csv(rows: Sequence[Row]) -> str:
    """The rows under their headings; unmeasured cells are empty; times to the microsecond, memory to the kilobyte."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        values = {name: getattr(row.case, name) for name in NAMES}
        values |= {name: getattr(row, name) for name in (*MEASURED, "date")}
        values |= {name: getattr(row.environment, name) for name in ENVIRONMENT}
        writer.writerow([_text(name, values[name]) for name in COLUMNS])
    return text.getvalue()


def _text(name: str, value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.7f}" if name.endswith("_s") else f"{value:.3f}"
    return value


def read(path: Path) -> list[Row]:
    """Read the rows of a file.

    Args:
        path: A csv file that `write` has written.

    Returns:
        Its rows.

    Raises:
        BadRequest: The file is not one of ours or is incomplete; the message gives the line number.
    """
    text = path.read_text(encoding="utf-8")
    lines = csv.reader(io.StringIO(text))
    if tuple(next(lines, ())) != COLUMNS:
        raise BadRequest(f"{path} is not a file of measurements of this version: move it away and measure again")
    if not text.endswith("\n"):
        raise BadRequest(f"{path} breaks off after {len(text):,} characters: measure again")
    rows = []
    for line in lines:
        try:
            rows.append(_row(dict(zip(COLUMNS, line, strict=True))))
        except ValueError as error:
            raise BadRequest(f"{path}, line {lines.line_num}: {error}") from error
    return rows


def files(folder: Path) -> list[Path]:
    """The files of measurements in a folder, by name: those that begin with a pattern.

    Csv files with other names are ignored.
    """
    paths = (path for pattern in ALL_PATTERNS for path in folder.glob(f"{pattern}-*.csv"))
    return sorted(paths)


def read_all(folder: Path) -> list[Row]:
    """The rows of every file of measurements in a folder, in the order of their names."""
    return [row for path in files(folder) for row in read(path)]


def _row(value: dict[str, str]) -> Row:
    if value["backward"] not in ("True", "False"):
        raise ValueError(f"backward is True or False, not {value['backward']!r}")
    words: dict[str, Any] = {
        name: value[name] for name in ("mechanism", "form", "level", "pattern", "options", "dtype", "device")
    }
    sizes: dict[str, Any] = {name: int(value[name]) for name in ("batch", "heads", "head_width", "n")}
    floats = [name for name in MEASURED if name not in ("repeats", "skipped")]
    numbers = {name: float(value[name]) if value[name] else None for name in floats}
    return Row(
        case=Case(**words, **sizes, backward=value["backward"] == "True"),
        environment=Environment(value["torch"], value["processor"], int(value["cores"]), int(value["threads"])),
        date=value["date"],
        repeats=int(value["repeats"]),
        skipped=value["skipped"],
        **numbers,
    )
