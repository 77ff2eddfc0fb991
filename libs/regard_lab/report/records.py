"""A run record as a page shows it: the few figures that one looks for first, then everything else, flat."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regard_lab.results import Result, Row

FIRST = {
    "seed": "seed",
    "device": "device",
    "wall_time_s": "wall time (s)",
    "peak_mib": "peak memory (MiB)",
    "started": "started",
    "revision": "revision",
    "fingerprint": "code fingerprint",
}


@dataclass(frozen=True)
class Record:
    """A cell's record: `first` for the overview, `sections` by name, each a list of (dotted name, value)."""

    cell: str
    anchor: str
    row: Row
    first: list[tuple[str, str]]
    sections: list[tuple[str, list[tuple[str, str]]]]


def records(result: Result) -> list[Record]:
    """Every record of a result, in the order of its rows."""
    return [_record(cell, row, result) for row in result.rows for cell in row.cells]


def anchor(result: Result, cell: str) -> str:
    """The fragment that leads to a record; cells of one table differ in it."""
    return f"{result.scale}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', cell)}"


def _record(cell: str, row: Row, result: Result) -> Record:
    record = {name: value for name, value in result.records.get(cell, {}).items() if name != "curves"}
    everything = [(path.removeprefix("identity."), text) for path, text in (flat(record) if record else [])]
    by_last_name = {path.split(".")[-1]: text for path, text in reversed(everything)}
    found = [(words, by_last_name[name]) for name, words in FIRST.items() if name in by_last_name]
    sections: dict[str, list[tuple[str, str]]] = {}
    for path, text in everything:
        section, dot, rest = path.partition(".")
        sections.setdefault(section if dot else "run", []).append((rest if dot else path, text))
    return Record(cell, anchor(result, cell), row, found, list(sections.items()))


def flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Nested mappings as dotted names; lists and plain values as one text."""
    if isinstance(value, Mapping) and value:
        return [pair for name, inner in value.items() for pair in flat(inner, f"{path}.{name}" if path else str(name))]
    return [(path, _plain(value))]


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value) or "none"
    return repr(value) if isinstance(value, float) else "none" if value in ("", {}) else str(value)
