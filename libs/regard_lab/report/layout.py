"""A table's page: parts of the key as columns, claimed metrics first, rows beside their baselines, the best marked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from regard_lab.common.formatting import Key, decimals, number, signed, step
from regard_lab.evidence import statistics
from regard_lab.experiment.results import DataUse, Metric, Result, Row, Scale
from regard_lab.experiment.table_file import Column
from regard_lab.report.view import Entry, Line, TableView

BASELINE: Key = {"attention": "softmax"}  # used if no gate names a reference row


@dataclass(frozen=True)
class Difference:
    """A row's metric minus its baseline's, with the ends of the 95 % interval where there is a spread; `title` says how it was taken."""

    text: str
    interval: str
    title: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Cell:
    """One metric of one row as it is shown."""

    entry: Entry
    difference: Difference | None
    best: bool


@dataclass(frozen=True)
class Shown:
    """One row: the words of its factors in the table's order, its cells, and the data sets that it read if rows differ in them."""

    line: Line
    factors: list[str]
    cells: list[Cell]
    baseline: bool
    data: list[DataUse]
    seeds: int


@dataclass(frozen=True)
class Layout:
    """A table's page.

    Attributes:
        factors: The parts of the rows' keys, in words.
        columns: The metrics that have a number, those of claims first.
        published: The columns for which the paper has a number.
        empty: Labels of the metrics without any number.
        groups: The rows by scale.
        data: The data sets that all rows read, empty where rows differ.
        row_data: Do rows differ in their data?
        baselines: The rows that others are compared with, in words.
        failed: Is there an incomplete row?
        claimed: The metrics that claims rest on.
    """

    factors: list[str]
    columns: list[Column]
    published: frozenset[str]
    empty: list[str]
    groups: list[tuple[Scale | None, list[Shown]]]
    data: list[DataUse]
    row_data: bool
    baselines: str
    failed: bool
    claimed: frozenset[str] = field(default_factory=frozenset)


def layout(
    table: TableView, claimed: Sequence[str], directions: Mapping[str, str], compared: Sequence[Key] = ()
) -> Layout:
    """Lay a table out.

    Args:
        table: The table with its results.
        claimed: The metrics that claims rest on, the most frequent first: they are never at the hidden end.
        directions: Metric -> `higher` or `lower`, if it is known which is better.
        compared: The rows that claims compare with.

    Returns:
        The layout that the page shows.
    """
    lines = table.lines
    names = list(dict.fromkeys(part for line in lines for part in line.key))
    filled = {
        entry.column.name for line in lines for entry in line.entries if entry.ours or entry.published is not None
    }
    order = {column.name: index for index, column in enumerate(table.published.columns)}
    columns = sorted(
        (column for column in table.published.columns if column.name in filled or not filled),
        key=lambda column: (
            list(claimed).index(column.name) if column.name in claimed else len(claimed),
            order[column.name],
        ),
    )
    baselines = references(table, compared)
    groups = []
    for scale, own in table.groups:
        result = table.results[scale] if scale else None
        groups.append((scale, _rows(own, result, names, columns, baselines, directions)))
    shown = [row for _, rows in groups for row in rows]
    per_row = {tuple(use.name for use in row.data) for row in shown if row.line.records}
    return Layout(
        factors=[name.replace("_", " ") for name in names],
        columns=columns,
        published=frozenset(
            entry.column.name for line in lines for entry in line.entries if entry.published is not None
        ),
        empty=[column.label for column in table.published.columns if column not in columns],
        groups=groups,
        data=next((row.data for row in shown if row.line.records), []) if len(per_row) == 1 else [],
        row_data=len(per_row) > 1,
        baselines="; ".join(dict.fromkeys(map(_words, baselines))),
        failed=any(row.line.status not in ("ok", "input") for row in shown),
        claimed=frozenset(claimed),
    )


def _words(key: Key) -> str:
    return ", ".join(f"{part.replace('_', ' ')} {value}" for part, value in key.items())


def _rows(
    lines: Sequence[Line],
    result: Result | None,
    names: Sequence[str],
    columns: Sequence[Column],
    found: Sequence[Key],
    directions: Mapping[str, str],
) -> list[Shown]:
    keys = [line.key for line in lines]
    of_line = {id(line): baseline_of(line.key, keys, found) for line in lines}
    baselines = {tuple(key.items()) for key in of_line.values() if key is not None}
    best = _best(lines, of_line, columns, directions)
    rows = []
    for line in lines:
        own = result.row(**line.key) if result else None
        base_key = of_line[id(line)]
        base = result.row(**base_key) if result and base_key is not None and base_key != line.key else None
        entries = {entry.column.name: entry for entry in line.entries}
        rows.append(
            Shown(
                line=line,
                factors=[_factor(line.key.get(name)) for name in names],
                cells=[
                    Cell(
                        entries[column.name],
                        difference(column, own, base),
                        (id(line), column.name) in best,
                    )
                    for column in columns
                ],
                baseline=tuple(line.key.items()) in baselines and len(lines) > 1,
                data=_data(line, result),
                seeds=max((entry.ours.n for entry in line.entries if entry.ours), default=0),
            )
        )
    return rows


def _factor(value: object) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def references(table: TableView, compared: Sequence[Key] = ()) -> list[Key]:
    """The rows that others are compared with: those of the gates; else softmax attention; else the one that all claims
    use.

    Args:
        table: The table.
        compared: The rows that claims compare with.
    """
    if table.published.gates:
        return [gate.reference for gate in table.published.gates]
    if any(BASELINE.items() <= row.key.items() for row in table.published.rows):
        return [BASELINE]
    different = list({tuple(key.items()): key for key in compared}.values())
    return different if len(different) == 1 and len(different[0]) == 1 else []


def baseline_of(key: Key, keys: Sequence[Key], found: Sequence[Key]) -> Key | None:
    """The row that a row is compared with: like it in all that both have, but with the value of the reference; `None` if there is none.

    Args:
        key: The row.
        keys: All rows at its scale.
        found: The `references` of its table.
    """
    for reference in found:
        (lead, value), *rest = reference.items()
        candidates = [other for other in keys if other.get(lead) == value]
        alike = [
            other
            for other in candidates
            if all(other[part] == own for part, own in key.items() if part in other and part != lead)
        ]
        asked = [other for other in candidates if dict(rest).items() <= other.items()] if rest else []
        order = [
            (-len(other.items() & key.items()), not reference.items() <= other.items(), index)
            for index, other in enumerate(alike or asked)
        ]
        if order:
            return (alike or asked)[min(order)[2]]
    return None


def _best(
    lines: Sequence[Line], of_line: Mapping[int, Key | None], columns: Sequence[Column], directions: Mapping[str, str]
) -> set[tuple[int, str]]:
    """(row, metric) of the best mean among one baseline's rows, unless all are equal or no direction is known."""
    families: dict[tuple[object, ...], list[Line]] = {}
    for line in lines:
        families.setdefault(tuple((of_line[id(line)] or {}).items()), []).append(line)
    best: set[tuple[int, str]] = set()
    for column in columns:
        if column.name not in directions:
            continue
        sign = 1 if directions[column.name] == "higher" else -1
        for family in families.values():
            means = {
                id(line): sign * entry.ours.mean
                for line in family
                for entry in line.entries
                if entry.column.name == column.name and entry.ours is not None
            }
            if len(set(means.values())) > 1:
                top = max(means.values())
                best |= {(line, column.name) for line, mean in means.items() if mean == top}
    return best


def difference(column: Column, own: Row | None, base: Row | None) -> Difference | None:
    """A row's metric minus its baseline's: seed by seed where they share seeds, else Welch's; no interval without a spread."""
    if own is None or base is None or column.name not in own.metrics or column.name not in base.metrics:
        return None
    ours, theirs = own.metrics[column.name], base.metrics[column.name]
    gap = ours.mean - theirs.mean
    unit = step(column.unit)
    if own.seeds == base.seeds and ours.n > 1:
        interval = statistics.paired_difference(ours.values, theirs.values)
        how = f"{interval.n} seeds, paired"
    elif min(ours.n, theirs.n) > 1:
        interval = statistics.unpaired_difference(ours.values, theirs.values)
        how = f"{interval.n} seeds or more, unpaired"
    else:
        return Difference(signed(gap, column.digits), "", f"minus the baseline's, {unit}".strip(", "))
    if not _spread(ours) and not _spread(theirs):
        return Difference(signed(gap, column.digits), "", "minus the baseline's; every seed gives the same")
    digits = decimals((interval.high - interval.low) / 2)
    digits = column.digits if column.digits is not None else digits
    ends = ", ".join(number(end, digits) for end in (interval.low, interval.high))
    title = f"minus the baseline's{f', in {unit}' if unit else ''}; 95 % interval; {how}"
    return Difference(signed(interval.estimate, digits), f"[{ends}]", title, interval.low, interval.high)


def _spread(metric: Metric) -> bool:
    return len(set(metric.values)) > 1


def _data(line: Line, result: Result | None) -> list[DataUse]:
    """The data sets that a row's own runs read; all of the table's where no record says."""
    if result is None:
        return []
    read: set[str] = set()
    for cell in line.records:
        read |= set(_named(result.records.get(cell, {})))
    return [use for use in result.data if use.name in read] or list(result.data)


def _named(record: Mapping[str, object]) -> Iterable[str]:
    """The names of the data in a record: the one that its config names if it is among those with a checksum, else all of them."""
    identity = record.get("identity")
    if not isinstance(identity, Mapping):
        return ()
    data, config = identity.get("data"), identity.get("config")
    listed = list(data) if isinstance(data, Mapping) else []
    named = (
        config.get("data", {}).get("name")
        if isinstance(config, Mapping) and isinstance(config.get("data"), Mapping)
        else None
    )
    return [str(named)] if named in listed and len(listed) > 1 and _alone(config, named) else listed


def _alone(config: object, named: object) -> bool:
    """Does a config name this data set and no other in its other parts?"""
    others = [value for part, value in _leaves(config) if part in ("set", "sets", "data")]
    return not any(value not in (None, named) for value in others)


def _leaves(value: object, part: str = "") -> Iterable[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield part, inner
    else:
        yield part, value
