"""The run records of a result as a page shows them: first what all share, then each run's overview and own values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from regard_lab.common.sounds import is_sound, seconds
from regard_lab.experiment.results import Result, Row

FIRST = {
    "seed": "seed",
    "device": "device",
    "wall_time_s": "wall time (s)",
    "peak_mib": "peak memory (MiB)",
    "started": "started",
    "revision": "revision",
    "fingerprint": "code fingerprint",
}


Pairs = list[tuple[str, str]]  # (dotted name, value as text)


@dataclass(frozen=True)
class Record:
    """A cell's record: `first` for the overview, `sections` by name with what differs between runs."""

    cell: str
    anchor: str
    row: Row
    first: Pairs
    sections: list[tuple[str, Pairs]]
    missing: bool


@dataclass(frozen=True)
class RunRecords:
    """The records of a result, in the order of its rows.

    `shared`: sections with what is the same in all records, if there are two or more. `floors`: the records of the
    floors.
    """

    shared: list[tuple[str, Pairs]]
    records: list[Record]
    floors: "RunRecords | None" = None


def runs(result: Result) -> RunRecords:
    """Every record of a result's rows and floors; a cell without one has a `Record` that says so."""
    floors = _listed(result, result.floors, result.floor_records) if result.floors else None
    return replace(_listed(result, result.rows, result.records), floors=floors)


def _listed(result: Result, rows: list[Row], records: dict[str, dict[str, Any]]) -> RunRecords:
    flattened = {cell: _flattened(records.get(cell, {})) for row in rows for cell in row.cells}
    written = [set(pairs) for pairs in flattened.values() if pairs]
    shared = set.intersection(*written) if len(written) > 1 else set()
    pairs = next((pairs for pairs in flattened.values() if pairs), [])
    return RunRecords(
        shared=_sections([pair for pair in pairs if pair in shared]),
        records=[
            Record(
                cell=cell,
                anchor=anchor(result, cell),
                row=row,
                first=_first(flattened[cell]),
                sections=_sections([pair for pair in flattened[cell] if pair not in shared]),
                missing=not flattened[cell],
            )
            for row in rows
            for cell in row.cells
        ],
    )


def anchor(result: Result, cell: str) -> str:
    """The fragment of a record's link; cells of one table differ in it."""
    return f"{result.scale}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', cell)}"


def _flattened(record: dict[str, Any]) -> Pairs:
    record = {name: value for name, value in record.items() if name != "curves"}
    return [(path.removeprefix("identity."), text) for path, text in (flat(record) if record else [])]


def _first(pairs: Pairs) -> Pairs:
    by_last_name = {path.split(".")[-1]: text for path, text in reversed(pairs)}
    return [(words, by_last_name[name]) for name, words in FIRST.items() if name in by_last_name]


def _sections(pairs: Pairs) -> list[tuple[str, Pairs]]:
    """The pairs by the first part of their names; names of one part come under "run"."""
    sections: dict[str, Pairs] = {}
    for path, text in pairs:
        section, dot, rest = path.partition(".")
        sections.setdefault(section if dot else "run", []).append((rest if dot else path, text))
    return list(sections.items())


def flat(value: Any, path: str = "") -> Pairs:
    """Nested mappings as dotted names; lists and plain values as one text."""
    if isinstance(value, Mapping) and value:
        return [pair for name, inner in value.items() for pair in flat(inner, f"{path}.{name}" if path else str(name))]
    return [(path, _plain(value))]


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_sound(value):
        return f"a sound of {seconds(value):.1f} s"
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value) or "none"
    return repr(value) if isinstance(value, float) else "none" if value in ("", {}) else str(value)
