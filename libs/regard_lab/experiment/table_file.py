"""A table is one file, `projects/<paper>/tables/<table>.yaml`: what it runs and measures, and what the paper says and claims.

    title, source, note    what the table is, and where the published numbers are
    columns                metric -> label, unit, digits; a name means a shared set of `columns.yaml`. `range`: its least and largest value, null
                           for none; intervals stay within. `exact`: computed without chance, so that equal values of several seeds are one value
    items                  the test items that all seeds share: `config`, where their number is in a cell's config, and `shares`, the metrics that are
                           shares of items which come out right, with how many times as many they rest on (an average over four tasks: 4);
                           `without`, the metrics that rest on other items
    not_compared           column -> why its difference to the paper's number would mean nothing: hardware, unit, task or data, and what differs;
                           `every` for all columns
    published              what the paper says: only rows for which it has a number, each with `values`, their `sources` (one per value,
                           or one for all), and which are `approximate` (a list, or true for all)
    references             what others measured of the same: `by` whom, and `values` (mean, standard deviation, runs) of a `row` in the columns
    claims                 what the paper claims, as checks (`regard_lab.evidence.paper`)
    gate                   what trained rows must beat before they are compared (`regard_lab.evidence.gate`)
    input                  true: published numbers from which other tables are computed, with nothing to run

    run                    `module:function` that runs a cell; if left out, the experiment's
    experiment             the file in `experiments/` that the cells compose; `{part}` in it is replaced by a part of the row's key
    config                 config values laid over the experiment, in the format of an experiment (`scales` included)
    seeds                  number of seeds for each row
    rows                   which rows, as products
    sets                   part of a row's key -> the config key that it sets, or value -> the config values that it means;
                           `experiment` for a part that the experiment's name contains
    data_sets              data set -> the paper's own that it replaces; if left out, the experiment's
    curves                 curve -> unit
    workers                how many cells at once; 1 where other cells would disturb the timing

`seeds`, `rows` and `data_sets` may differ by scale: a mapping of `quick`, `laptop` and `paper`.

Rows are a product or a list of products. `{heads: [1, 2], attention: [softmax, super]}` are four rows, the last part
varying fastest. `each` in place of a part holds a list of products, for parts that vary together. A row's key has its
parts in the order of `sets`.

A column without a label is recorded and not shown; one with `scales` is measured at those scales alone.
"""

import itertools
import math
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regard_lab.common.errors import UserError, nearest
from regard_lab.common.formatting import Key, label
from regard_lab.common.strict_yaml import Node, read_yaml
from regard_lab.experiment.experiment_file import (
    Experiment,
    Overlay,
    Values,
    by_scale,
    check_scale,
    lay_over,
    read_data_sets,
    read_experiment,
    read_overlay,
    set_value,
)
from regard_lab.experiment.results import SCALES, Scale

SHOWN = ("title", "source", "columns")
SHOWN_IF_ANY = ("note", "input", "published", "references", "claims", "items", "not_compared")
EVERY_COLUMN = "every"
RUN = ("experiment", "seeds", "rows", "sets")
RUN_IF_ANY = ("run", "config", "data_sets", "curves", "workers", "gate")
LISTED: tuple[Scale, ...] = ("laptop", "paper", "quick")  # the scales in the order in which the report takes their rows
EXPERIMENT = "experiment"  # what a part of a row's key sets if it is in the experiment's name


@dataclass(frozen=True)
class Column:
    """A metric of a table. `digits`: decimals shown, `None` for four significant figures.

    `range`: the least and the largest value that it can have. `exact`: it has no chance in it, so that several equal values are one.
    """

    name: str
    label: str
    unit: str
    digits: int | None = None
    range: tuple[float, float] | None = None
    exact: bool = False


@dataclass(frozen=True)
class SharedItems:
    """Where a cell's config says on how many items every seed is tested.

    `shares`: the metrics that are shares of items which come out right, and of how many times as many (an average over
    four tasks: 4). `without`: the metrics that rest on other items.
    """

    config: str
    shares: Mapping[str, int] = field(default_factory=dict)
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PublishedRow:
    """A row and what the paper says of it; `approximate` names the values that a source gives as "about"."""

    key: Key
    values: dict[str, float | None]
    sources: dict[str, str] = field(default_factory=dict)
    approximate: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Reference:
    """What others measured for a row: for each metric the mean, the standard deviation and the number of runs."""

    row: Key
    by: str
    values: dict[str, tuple[float, float, int]]


@dataclass(frozen=True)
class TableSpec:
    """A table at one scale: what its cells run and give, and how a row's key changes their config."""

    run: str
    rows: list[Key]
    metrics: dict[str, str]
    seeds: int
    data_sets: dict[str, str | None]
    curves: dict[str, str]
    workers: int | None = None


@dataclass(frozen=True)
class Runs:
    """The part of a table's file that says what is run."""

    run: str | None
    experiment: str
    config: Overlay
    seeds: Mapping[Scale, int]
    rows: Mapping[Scale, list[Key]]
    sets: Mapping[str, str | Mapping[Any, Values]]
    data_sets: Mapping[Scale, dict[str, str | None]] | None
    curves: dict[str, str]
    workers: int | None


@dataclass(frozen=True)
class TableFile:
    """A table's file. `metrics` holds the unit of every column, by scale; `runs` is `None` if there is nothing to run."""

    name: str
    title: str
    source: str
    note: str
    input: bool
    columns: tuple[Column, ...]
    metrics: Mapping[Scale, dict[str, str]]
    published: tuple[PublishedRow, ...]
    claims: Node | None
    runs: Runs | None
    gate: Node | None = None
    items: SharedItems | None = None
    not_compared: Mapping[str, str] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()

    @property
    def rows(self) -> list[Key]:
        """The rows of every scale, and the published ones that no scale runs."""
        run = [row for scale in LISTED for row in (self.runs.rows[scale] if self.runs else [])]
        rows: list[Key] = []
        for row in [*run, *(row.key for row in self.published)]:
            if row not in rows:
                rows.append(row)
        return rows

    def spec(self, project: Path, scale: Scale) -> TableSpec:
        """What is run at a scale."""
        runs = self.to_run()
        experiments = [read_experiment(project, name, scale) for name in self.experiments(scale)]
        run = runs.run or next((experiment.run for experiment in experiments if experiment.run), None)
        if run is None:
            raise UserError(
                f"table {self.name}: neither it nor its experiment {experiments[0].name} says what to `run`"
            )
        read: dict[str, str | None] = {}
        for experiment in experiments:
            read |= experiment.data_sets or {}
        return TableSpec(
            run=run,
            rows=runs.rows[scale],
            metrics=self.metrics[scale],
            seeds=runs.seeds[scale],
            data_sets=read if runs.data_sets is None else runs.data_sets[scale],
            curves=runs.curves,
            workers=runs.workers,
        )

    def experiments(self, scale: Scale) -> list[str]:
        """The experiments that the rows of a scale compose, in the order of the rows."""
        runs = self.to_run()
        return list(dict.fromkeys(runs.experiment.format(**row) for row in runs.rows[scale]))

    def values(self, experiment: Experiment, scale: Scale) -> Values:
        """The config of an experiment with this table's changes applied to it."""
        return self.to_run().config.over(experiment.values, scale)

    def row_values(self, values: Values, row: Key) -> Values:
        """`values` with the settings of a row's key applied to them."""
        for part, value in row.items():
            sets = self.to_run().sets[part]
            if isinstance(sets, Mapping):
                values = lay_over(values, sets[value])
            elif sets != EXPERIMENT:
                values = set_value(values, sets, value)
        return values

    def to_run(self) -> Runs:
        if self.runs is None:
            raise UserError(f"there is nothing to run in table {self.name}")
        return self.runs


def _seeds(node: Node) -> int:
    if node.whole() < 1:
        raise node.error(f"a row needs at least one seed, got {node.value}")
    return node.whole()


def table_names(project: Path) -> list[str]:
    """The tables of a project that are run, in the order of `paper.yaml`."""
    entries = read_yaml(project / "paper.yaml").entries()
    return [item.text() for item in entries["tables"].items()] if "tables" in entries else []


def read_table(project: Path, name: str) -> TableFile:
    """Read a table's file; whatever is wrong in it is one `UserError` that names file and place."""
    top = read_yaml(project / "tables" / f"{name}.yaml")
    runs = any(key in top.entries() for key in (*RUN, *RUN_IF_ANY))
    fields = top.fields((*SHOWN, *(RUN if runs else ())), (*SHOWN_IF_ANY, *(RUN_IF_ANY if runs else ())))
    columns, metrics = _columns(fields["columns"], project / "columns.yaml")
    published = _published(fields["published"], columns) if "published" in fields else ()
    return TableFile(
        name=name,
        title=fields["title"].text(),
        source=fields["source"].text(),
        note=fields["note"].text() if "note" in fields else "",
        input=fields["input"].flag() if "input" in fields else False,
        columns=columns,
        metrics=metrics,
        published=published,
        claims=fields.get("claims"),
        runs=_runs(fields) if runs else None,
        gate=fields.get("gate"),
        items=_items(fields["items"], columns) if "items" in fields else None,
        not_compared=_not_compared(fields["not_compared"], columns) if "not_compared" in fields else {},
        references=_references(fields["references"], columns) if "references" in fields else (),
    )


def _references(node: Node, columns: Sequence[Column]) -> tuple[Reference, ...]:
    names = []
    for item in node.items():
        fields = item.fields(("row", "by", "values"))
        values = {}
        for name, value in fields["values"].entries().items():
            _known(item, name, columns)
            parts = value.fields(("mean", "sd", "runs"))
            values[name] = (parts["mean"].number(), parts["sd"].number(), parts["runs"].whole())
        names.append(Reference(fields["row"].key(), fields["by"].text(), values))
    return tuple(names)


def _items(node: Node, columns: Sequence[Column]) -> SharedItems:
    fields = node.fields(("config",), ("shares", "without"))
    shares = {name: item.whole() for name, item in fields["shares"].entries().items()} if "shares" in fields else {}
    without = [item.text() for item in fields["without"].items()] if "without" in fields else []
    for name in (*shares, *without):
        _known(node, name, columns)
    return SharedItems(fields["config"].text(), shares, frozenset(without))


def _not_compared(node: Node, columns: Sequence[Column]) -> dict[str, str]:
    said = {name: item.text() for name, item in node.entries().items()}
    if EVERY_COLUMN in said:
        said = dict.fromkeys((column.name for column in columns), said[EVERY_COLUMN]) | said
        del said[EVERY_COLUMN]
    for name in said:
        _known(node, name, columns)
    return said


def _known(node: Node, name: str, columns: Sequence[Column]) -> None:
    known = [column.name for column in columns]
    if name not in known:
        raise node.error(f"there is no column {name!r}; columns are {', '.join(known)}.{nearest(name, known)}")


def _runs(fields: Mapping[str, Node]) -> Runs:
    experiment, sets = (
        fields["experiment"].text(),
        {part: _sets(item) for part, item in fields["sets"].entries().items()},
    )
    named = {part for _, part, _, _ in string.Formatter().parse(experiment) if part}
    choosing = {part for part, target in sets.items() if target == EXPERIMENT}
    if named != choosing:
        raise fields["sets"].error(
            f"the experiment {experiment!r} holds {sorted(named) or 'no part of a key'}, "
            f"but {sorted(choosing) or 'no part'} sets `experiment`"
        )
    return Runs(
        run=fields["run"].text() if "run" in fields else None,
        experiment=experiment,
        config=read_overlay(fields["config"]) if "config" in fields else Overlay({}, {}),
        seeds=by_scale(fields["seeds"], _seeds),
        rows=by_scale(fields["rows"], lambda node: _rows(node, sets)),
        sets=sets,
        data_sets=by_scale(fields["data_sets"], read_data_sets) if "data_sets" in fields else None,
        curves={name: _unit(item) for name, item in fields["curves"].entries().items()} if "curves" in fields else {},
        workers=fields["workers"].whole() if "workers" in fields else None,
    )


def _sets(node: Node) -> str | dict[Any, Values]:
    """A config key, or the config values that each value of the part means."""
    if isinstance(node.value, dict):
        return {value: node.at(str(value), values).entries() and values for value, values in node.value.items()}
    return node.text()


def _rows(node: Node, sets: Mapping[str, str | Mapping[Any, Values]]) -> list[Key]:
    """The rows of a product or of a list of products, each key in the order of `sets`."""
    rows: list[Key] = []
    for item in node.items() if isinstance(node.value, list) else [node]:
        for parts in _product(item):
            for part, value in parts.items():
                if part not in sets:
                    raise item.error(
                        f"a row's {part!r} sets nothing; `sets` knows {', '.join(sets)}.{nearest(part, sets)}"
                    )
                target = sets[part]
                if isinstance(target, Mapping) and value not in target:
                    raise item.error(
                        f"`sets` does not say what {part} {value!r} means, only {', '.join(map(str, target))}"
                    )
            row = {part: parts[part] for part in sets if part in parts}
            if row in rows:
                raise item.error(f"the row {label(row)} occurs twice")
            rows.append(row)
    return rows


def _product(node: Node) -> Iterator[Key]:
    """The rows of one product, its last part varying fastest."""
    loops: list[list[Key]] = []
    for part, item in node.entries().items():
        if part == "each":
            loops.append([row for inner in item.items() for row in _product(inner)])
        else:
            values = item.items() if isinstance(item.value, list) else [item]
            loops.append([{part: value.scalar()} for value in values])
    for combination in itertools.product(*loops):
        row: Key = {}
        for parts in combination:
            if twice := [part for part in parts if part in row]:
                raise node.error(f"{twice[0]!r} varies in two places")
            row |= parts
        yield row


def _columns(node: Node, shared: Path) -> tuple[tuple[Column, ...], dict[Scale, dict[str, str]]]:
    """The columns that are shown, and the units of all that are measured at each scale."""
    shown: list[Column] = []
    metrics: dict[Scale, dict[str, str]] = {scale: {} for scale in SCALES}
    for name, item in _column_nodes(node, shared):
        fields = item.fields(("unit",), ("label", "digits", "scales", "range", "exact"))
        if any(name in metrics[scale] for scale in SCALES):
            raise item.error(f"the column {name!r} occurs twice")
        unit = _unit(fields["unit"])
        for scale in fields["scales"].items() if "scales" in fields else SCALES:
            metrics[check_scale(scale if isinstance(scale, str) else scale.choice(*SCALES))][name] = unit
        if "label" in fields:
            digits = fields["digits"].whole() if "digits" in fields else None
            limits = _range(fields["range"]) if "range" in fields else None
            exact = "exact" in fields and fields["exact"].flag()
            shown.append(Column(name, fields["label"].text(), unit, digits, limits, exact))
    return tuple(shown), metrics


def _column_nodes(node: Node, shared: Path) -> Iterator[tuple[str, Node]]:
    """The columns of a mapping, of a shared set, or of a list of both."""
    if isinstance(node.value, dict):
        yield from node.entries().items()
    elif isinstance(node.value, str):
        sets = read_yaml(shared).entries()
        if node.value not in sets:
            raise node.error(
                f"{shared.name} has no columns {node.value!r}.{nearest(node.value, sets)} It has: {', '.join(sets)}"
            )
        yield from _column_nodes(sets[node.value], shared)
    else:
        for item in node.items():
            yield from _column_nodes(item, shared)


def _range(node: Node) -> tuple[float, float]:
    ends = node.items()
    if len(ends) != 2:
        raise node.error(f"a range has a least and a largest value, null for none, got {node.value!r}")
    low, high = (
        end if item.value is None else item.number() for item, end in zip(ends, (-math.inf, math.inf), strict=True)
    )
    if low >= high:
        raise node.error(f"the least value {low:g} must be below the largest {high:g}")
    return low, high


def _unit(node: Node) -> str:
    if not isinstance(node.value, str):
        raise node.error(f'a unit is words, or "" for a plain count, got {node.value!r}')
    return node.value


def _published(node: Node, columns: Sequence[Column]) -> tuple[PublishedRow, ...]:
    rows: list[PublishedRow] = []
    for item in node.items():
        row = _published_row(item, columns)
        if any(row.key == other.key for other in rows):
            raise item.error(f"the row {label(row.key)} occurs twice")
        rows.append(row)
    return tuple(rows)


def _published_row(node: Node, columns: Sequence[Column]) -> PublishedRow:
    fields = node.fields(("row", "values"), ("sources", "approximate"))
    known = [column.name for column in columns]
    values: dict[str, float | None] = dict.fromkeys(known)
    for name, item in fields["values"].entries().items():
        if name not in known:
            raise item.error(f"there is no column {name!r}; columns are {', '.join(known)}.{nearest(name, known)}")
        values[name] = None if item.value is None else item.number()
    said = [name for name, value in values.items() if value is not None]
    sources = _of_values(fields.get("sources"), said)
    approximate = []
    if "approximate" in fields:
        whole = fields["approximate"].value is True
        approximate = said if whole else [item.text() for item in fields["approximate"].items()]
    for name in [*sources, *approximate]:
        if values.get(name) is None:
            raise node.error(f"{name!r} has a source or is called approximate, but has no value")
    return PublishedRow(fields["row"].key(), values, sources, frozenset(approximate))


def _of_values(node: Node | None, said: Sequence[str]) -> dict[str, str]:
    """A text for each value of a row: a mapping, or one for all of them."""
    if node is None:
        return {}
    if isinstance(node.value, str):
        return dict.fromkeys(said, node.text())
    return {name: item.text() for name, item in node.entries().items()}
