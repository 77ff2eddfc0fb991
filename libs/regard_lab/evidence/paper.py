"""What a paper says: `projects/<paper>/paper.yaml` and, for each table, `tables/<table>.yaml`, read strictly.

`paper.yaml` is about the paper: title, authors, year, arXiv number, summary, what is not reproduced and why, and the
order of the tables: `tables` are those that are run, `other_tables` those with nothing to run (numbers from which
others are computed, rows that a command adds). `groups` are the sentences of the paper (or, with `ours`, of its
reproduction) that claims belong to, in the order of the report: name -> `says`, and `rule`: `all` members must hold
(the default), or `any` of them for a best case that the paper does not name.

An unknown number is `null` or left out: it is shown as "not known" and compared with nothing.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from regard_lab.common.errors import UserError, nearest
from regard_lab.common.formatting import Key
from regard_lab.common.strict_yaml import Node, read_yaml
from regard_lab.evidence import expression
from regard_lab.evidence.gate import Gate, read_after, read_gates
from regard_lab.experiment.results import Scale
from regard_lab.experiment.table_file import Column, PublishedRow, Reference, SharedItems, TableFile, read_table

Kind = Literal["experiment", "timing", "arithmetic", "deterministic", "check"]
KINDS: dict[Kind, str] = {  # the headline counts the first alone
    "experiment": "trained or measured, with chance in it: what a reproduction is for",
    "timing": "times and memory, measured on one machine",
    "arithmetic": "true or false by algebra, counts or construction, or recomputed from published numbers",
    "deterministic": "computed from what was trained, without chance",
    "check": "of our own generators, tasks and controls, which must hold for the rest to mean something",
}
EXACT: tuple[Kind, ...] = ("arithmetic", "deterministic")  # decided case by case, without an interval
Rule = Literal["all", "any"]


@dataclass(frozen=True)
class Group:
    """A sentence whose members are claims: data sets, sizes, definitions. `ours`: the reproduction says it, not the paper."""

    name: str
    says: str
    kind: Kind
    rule: Rule = "all"
    ours: bool = False


@dataclass(frozen=True)
class PublishedTable:
    """A table of a paper: every row that is run at some scale or for which the paper has a number.

    `input`: published numbers from which other tables are computed, with nothing to run. `elsewhere`: by scale, the
    rows that only other scales run and for which the paper has no number.
    """

    name: str
    title: str
    source: str
    columns: tuple[Column, ...]
    rows: tuple[PublishedRow, ...]
    note: str = ""
    input: bool = False
    elsewhere: Mapping[Scale, tuple[Key, ...]] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    after: tuple[str, ...] = ()
    items: SharedItems | None = None
    not_compared: Mapping[str, str] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()

    def row(self, key: Key) -> PublishedRow | None:
        return next((row for row in self.rows if row.key == key), None)

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper and the check that decides it.

    check        decides whether                                                 fields of its own
    equivalence  |mean(row) − mean(against)| < margin                            against, margin, reason, paired
    better       row is higher (or lower) than against, by at least `least`;     against, direction, least, relative, paired
                 negative: no worse than against by more than that
    formula      metric of row (divided by that of against) equals an expression equals, against, constants, tolerance
    trend        the metric rises (or falls) with each doubling of `over`        rows, or row; over; direction, log, paired
    exponent     the metric grows as over^p, p in [at_least, at_most]            over, at_least, at_most
    bound        the mean is in [at_least, at_most]                              at_least, at_most, control
    ranks        row's place among all rows is from at_least to at_most          among, without, direction, at_least, at_most, paired

    `row` with `over` is a filter: every row that contains it, in the order of the number `over`, a part of the key;
    with `rows` it may be a metric. `log`: the trend is that of the metric's logarithm. `control`: a row whose value
    each seed's is divided by, such as one timed against itself. `among` selects the rows that are ranked, all of them
    if it is left out; `without` names parts of keys of those that are not.
    """

    id: str
    kind: Kind
    group: str
    says: str
    source: str
    check: str
    table: str
    metric: str
    column: Column | None = None
    row: Key = field(default_factory=dict)
    against: Key | None = None
    rows: tuple[Key, ...] = ()
    over: str = ""
    margin: float = 0.0
    reason: str = ""
    direction: str = "higher"
    least: float = 0.0
    relative: bool = False
    paired: bool = True
    log: bool = False
    control: Key | None = None
    among: Key = field(default_factory=dict)
    without: tuple[Key, ...] = ()
    items: SharedItems | None = None
    equals: str = ""
    constants: dict[str, float] = field(default_factory=dict)
    tolerance: float = 0.0
    at_least: float = -math.inf
    at_most: float = math.inf
    note: str = ""


CHECKS: dict[str, tuple[set[str], set[str]]] = {  # required and optional fields beyond those of every claim
    "equivalence": ({"row", "against", "margin", "reason"}, {"paired"}),
    "better": ({"row", "against"}, {"direction", "least", "relative", "paired"}),
    "formula": ({"row", "equals"}, {"against", "constants", "tolerance"}),
    "trend": ({"over"}, {"rows", "row", "direction", "log", "paired"}),
    "exponent": ({"row", "over"}, {"at_least", "at_most"}),
    "bound": ({"row"}, {"at_least", "at_most", "control"}),
    "ranks": ({"row"}, {"among", "without", "direction", "at_least", "at_most", "paired"}),
}
EVERY = ("id", "kind", "group", "says", "source", "check", "metric")
READ: dict[str, Callable[[Node], Any]] = {
    "kind": lambda node: node.choice(*KINDS),
    "row": Node.key,
    "against": Node.key,
    "control": Node.key,
    "among": Node.key,
    **dict.fromkeys(("rows", "without"), lambda node: tuple(item.key() for item in node.items())),
    "direction": lambda node: node.choice("higher", "lower"),
    "constants": lambda node: {name: item.number() for name, item in node.entries().items()},
    **dict.fromkeys(("margin", "least", "tolerance", "at_least", "at_most"), Node.number),
    **dict.fromkeys(("relative", "paired", "log"), Node.flag),
}


@dataclass(frozen=True)
class Paper:
    """A paper: `name` is that of its project; `not_reproduced` says what is left out, and why; `code` is the address of the released code."""

    name: str
    title: str
    authors: tuple[str, ...]
    year: int
    arxiv: str
    summary: str
    tables: dict[str, PublishedTable]
    claims: tuple[Claim, ...] = ()
    groups: tuple[Group, ...] = ()
    not_reproduced: tuple[tuple[str, str], ...] = ()
    code: str = ""


def papers(root: Path) -> list[Paper]:
    """Every paper below `root`, by name."""
    return [load_paper(path.parent) for path in sorted(root.glob("projects/*/paper.yaml"))]


def load_paper(project: Path) -> Paper:
    """Read a paper with its tables; whatever is wrong in their files is one `UserError` that names file and place."""
    top = read_yaml(project / "paper.yaml").fields(
        ("title", "authors", "year", "arxiv", "summary", "tables"),
        ("code", "other_tables", "groups", "not_reproduced"),
    )
    files = {name: read_table(project, name) for name in _listed(project, top)}
    for key, node in (("tables", top["tables"]), ("other_tables", top.get("other_tables"))):
        for item in node.items() if node else []:
            if (files[item.text()].runs is None) == (key == "tables"):
                raise item.error(f"tables/{item.text()}.yaml says {'nothing' if key == 'tables' else 'what'} to run")
    tables = {name: published(file) for name, file in files.items()}
    omitted = []
    if "not_reproduced" in top:
        for item in top["not_reproduced"].items():
            fields = item.fields(("what", "why"))
            omitted.append((fields["what"].text(), fields["why"].text()))
    claims, groups = _claims(files.values(), tables, top.get("groups"))
    return Paper(
        name=project.name,
        title=top["title"].text(),
        authors=tuple(item.text() for item in top["authors"].items()),
        year=top["year"].whole(),
        arxiv=top["arxiv"].text(),
        summary=top["summary"].text(),
        code=top["code"].text() if "code" in top else "",
        tables=tables,
        claims=claims,
        groups=groups,
        not_reproduced=tuple(omitted),
    )


def _listed(project: Path, top: Mapping[str, Node]) -> list[str]:
    """The tables in the order of `paper.yaml`, which lists each file of `tables/` once and in its right place."""
    run = [item.text() for item in top["tables"].items()]
    other = [item.text() for item in top["other_tables"].items()] if "other_tables" in top else []
    files = sorted(path.stem for path in (project / "tables").glob("*.yaml"))
    if missing := [name for name in files if name not in (*run, *other)]:
        raise top["tables"].error(f"tables/{missing[0]}.yaml is not listed here")
    if twice := [name for name in (*run, *other) if (*run, *other).count(name) > 1]:
        raise top["tables"].error(f"{twice[0]!r} occurs twice")
    return [*run, *other]


def published(file: TableFile) -> PublishedTable:
    """The part of a table's file that the report shows."""
    said = {tuple(row.key.items()): row for row in file.published}
    unknown = dict.fromkeys(column.name for column in file.columns)
    rows = [said.get(tuple(key.items())) or PublishedRow(key, dict(unknown)) for key in file.rows]
    run = file.runs.rows if file.runs else {}
    with_number = [row.key for row in rows if any(value is not None for value in row.values.values())]
    elsewhere: dict[Scale, tuple[Key, ...]] = {
        scale: tuple(key for keys in run.values() for key in keys if key not in run[scale] and key not in with_number)
        for scale in run
    }
    return PublishedTable(
        file.name,
        file.title,
        file.source,
        file.columns,
        tuple(rows),
        file.note,
        file.input,
        elsewhere,
        read_gates(file),
        read_after(file),
        file.items,
        file.not_compared,
        file.references,
    )


def _claims(
    files: Iterable[TableFile], tables: Mapping[str, PublishedTable], groups: Node | None
) -> tuple[tuple[Claim, ...], tuple[Group, ...]]:
    """The claims of all tables in the order of their groups, and the groups; each has the kind of its members."""
    sentences = groups.entries() if groups else {}
    claims: dict[str, Claim] = {}
    kinds: dict[str, Kind] = {}
    for file in files:
        for node in file.claims.items() if file.claims else []:
            claim = _claim(node, tables[file.name])
            if claim.id in claims:
                raise node.error(f"the claim {claim.id!r} occurs twice, or in {claims[claim.id].table} too")
            if claim.group not in sentences:
                raise node.error(f"paper.yaml has no group {claim.group!r}.{nearest(claim.group, sentences)}")
            if kinds.setdefault(claim.group, claim.kind) != claim.kind:
                raise node.error(
                    f"the group {claim.group!r} has claims of kind {kinds[claim.group]!r} and {claim.kind!r}"
                )
            claims[claim.id] = claim
    read = []
    for name, node in sentences.items():
        if name not in kinds:
            raise node.error("no claim belongs to this group")
        read.append(_group(name, node, kinds[name]))
    order = [group.name for group in read]
    return tuple(sorted(claims.values(), key=lambda claim: order.index(claim.group))), tuple(read)


def _group(name: str, node: Node, kind: Kind) -> Group:
    fields = node.fields(("says",), ("rule", "ours"))
    rule: Rule = "any" if "rule" in fields and fields["rule"].choice("all", "any") == "any" else "all"
    return Group(name, fields["says"].text(), kind, rule, "ours" in fields and fields["ours"].flag())


def _claim(node: Node, table: PublishedTable) -> Claim:
    entries = node.entries()
    if "check" not in entries:
        raise node.error("key 'check' is missing")
    required, optional = CHECKS[entries["check"].choice(*CHECKS)]
    fields = node.fields((*EVERY, *sorted(required)), (*sorted(optional), "note"))
    column = table.column(entries["metric"].value) if "metric" in entries else None
    claim = Claim(
        table=table.name,
        column=column,
        items=table.items,
        **{name: READ.get(name, Node.text)(item) for name, item in fields.items()},
    )
    complaint = _complaint(claim, table)
    if complaint:
        raise node.error(f"claim {claim.id!r}: {complaint}")
    return claim


def _complaint(claim: Claim, table: PublishedTable) -> str | None:
    """What is wrong with a claim whose fields have the right types, or `None`."""
    if table.input:
        return f"table {table.name!r} is an input: nothing is run there that could decide a claim"
    columns = [column.name for column in table.columns]
    if claim.metric not in columns:
        return f"table {table.name!r} has no column {claim.metric!r}.{nearest(claim.metric, columns)}"
    match claim.check:
        case "equivalence" if claim.margin <= 0:
            return f"a margin is positive, got {claim.margin}"
        case "better" if claim.relative and not claim.paired:
            return "a relative gain is taken seed by seed, so it has to be paired"
        case "formula" if complaint := _formula_complaint(claim, columns):
            return complaint
        case "formula" if claim.kind not in EXACT:
            return f"a formula is exact: its kind is one of {', '.join(EXACT)}, not {claim.kind}"
        case "equivalence" | "trend" | "exponent" if claim.kind in EXACT:
            return f"the check {claim.check!r} needs chance, but the kind is {claim.kind}"
        case "trend" if bool(claim.rows) == bool(claim.row) or len(claim.rows) == 1:
            return "needs either at least two `rows`, or `row`"
        case "bound" | "exponent" | "ranks" if math.isinf(claim.at_least) and math.isinf(claim.at_most):
            return "needs `at_least`, `at_most` or both"
        case "bound" | "exponent" | "ranks" if claim.at_least > claim.at_most:
            return f"at_least {claim.at_least:g} is above at_most {claim.at_most:g}"
    named = [
        *claim.rows,
        *([claim.against] if claim.against else []),
        *([claim.control] if claim.control else []),
        *([claim.row] if claim.row and not claim.over else []),
    ]
    for key in named:
        if table.row(key) is None:
            return f"table {table.name!r} has no row {key}"
    if claim.check == "ranks" and not claim.among.items() <= claim.row.items():
        return f"the row {claim.row} is not among {claim.among}"
    if claim.rows and claim.over and not all(claim.over in key for key in claim.rows) and claim.over not in columns:
        return f"{claim.over!r} is neither a part of every row's key nor a column"
    if claim.over and not claim.rows:
        points = [key for key in (row.key for row in table.rows) if claim.row.items() <= key.items()]
        numbers = {key[claim.over] for key in points if isinstance(key.get(claim.over), int | float)}
        least = 3 if claim.check == "exponent" else 2
        if len(numbers) < least:
            return f"needs {least} rows that match {claim.row} and differ in the number {claim.over!r}; there are {len(numbers)}"
    return None


def _formula_complaint(claim: Claim, columns: list[str]) -> str | None:
    numbers = [name for name, value in claim.row.items() if isinstance(value, int | float)]
    for name in claim.constants:
        if name in numbers or name in columns:
            return f"the constant {name!r} is also a column or a part of the row's key"
    known = {*claim.constants, *numbers, *columns} - {claim.metric}
    try:
        unknown = sorted(expression.names(claim.equals) - known)
    except UserError as error:
        return str(error)
    return (
        f"`equals` uses {unknown[0]!r}; known are {', '.join(sorted(known))}.{nearest(unknown[0], known)}"
        if unknown
        else None
    )
