"""A run record as a page shows it: the few figures that one looks for first, then everything else, flat."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regard_lab.results import Result, Row

FIRST = ("seed", "device", "wall_time_s", "peak_mib", "fingerprint", "started", "revision")


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
    everything = flat(record)
    found: list[tuple[str, str]] = []
    for name in FIRST:
        value = next((text for path, text in everything if path.split(".")[-1] == name), None)
        if value is not None:
            found.append((name, value))
    sections: dict[str, list[tuple[str, str]]] = {}
    for path, text in everything:
        section, _, rest = path.rpartition(".") if path.startswith("identity.") else path.partition(".")
        if path.startswith("identity."):  # the run's config, fingerprint and data stand one level down
            _, section, *deeper = path.split(".")
            rest = ".".join(deeper)
        sections.setdefault(section if rest else "run", []).append((rest or section, text))
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
