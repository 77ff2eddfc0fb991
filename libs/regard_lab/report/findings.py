"""What a paper's reproduction found, in three to seven sentences: `projects/<paper>/findings.yaml`, read strictly.

    names       words with digits that are names, not results ("CIFAR-10"); a text may have no other digits
    findings    a list, the weightiest first, each with
      says        one sentence or two; `{name}` stands for a value
      caveat      what a reader must also know; may be left out
      claims      claim -> the verdict on which the sentence rests
      groups      group of claims -> its verdict
      gates       table -> the status of its gate
      values      name -> where the number comes from, one of
                    claim                                what the claim's test estimated, with its interval
                    table, row, metric                   the mean of a row
                    table, row, metric, against          its mean minus that of another row, with the 95 % interval
                    table, row, metric, over             its mean over that of another row
                    table, floor, metric                 the value that a floor of the table's gate reaches
                    count: <verdict>, kind: <kind>       how many groups of that kind have that verdict; `count: all` counts them all
                  and for each `digits`; `form`: `full` (sign, unit, interval), `plain` (size and unit) or `number` (size alone); and
                  `between`: [least, most] for which the sentence is true

A sentence whose verdicts or values have changed is shown as such, and a test fails until somebody has reviewed it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from regard_lab.common.errors import nearest
from regard_lab.common.formatting import decimals, label, number, signed, step
from regard_lab.common.strict_yaml import Node, read_yaml
from regard_lab.evidence.gate import FLOOR, STATUSES
from regard_lab.evidence.paper import KINDS
from regard_lab.evidence.verdict import GROUP_WORDS, WORDS
from regard_lab.experiment.results import Metric, Result, Row
from regard_lab.experiment.table_file import Column
from regard_lab.report.layout import difference
from regard_lab.report.view import PaperView, TableView

FILE = "findings.yaml"
PLACEHOLDER = re.compile(r"\{([a-z0-9_]+)\}")
FORMS = ("full", "plain", "number")
DIGITS = re.compile(r"\d")
T = TypeVar("T")


@dataclass(frozen=True)
class Rest:
    """A verdict that a sentence rests on: `what` is the claim, group or table, `said` the verdict it was written for, `now` today's."""

    kind: str
    what: str
    said: str
    now: str
    says: str


@dataclass(frozen=True)
class Finding:
    """A sentence with today's numbers. `moved` says what has changed since it was written."""

    says: str
    caveat: str
    rests: list[Rest]
    moved: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Value:
    """A number from a result; a difference shows its sign."""

    value: float
    unit: str = ""
    digits: int | None = None
    interval: tuple[float, float] | None = None
    difference: bool = False

    def shown(self, form: str) -> str:
        """The number in one of `FORMS`."""
        if form != "full":
            size = number(abs(self.value), self.digits)
            return size if form == "number" else f"{size} {self.unit}".strip()
        text = f"{(signed if self.difference else number)(self.value, self.digits)} {self.unit}".strip()
        ends = [number(end, self.digits) for end in self.interval or ()]
        return f"{text} [{', '.join(ends)}]" if ends else text


def findings(project: Path, view: PaperView) -> list[Finding]:
    """The findings of a paper, none if it has no file.

    Args:
        project: The project's folder.
        view: Its tables and claims with their results.

    Raises:
        UserError: A finding that names something that does not exist, or has a number that comes from no result.
    """
    if not (project / FILE).exists():
        return []
    top = read_yaml(project / FILE).fields(("findings",), ("names",))
    names = [node.text() for node in top["names"].items()] if "names" in top else []
    return [_finding(node, view, names) for node in top["findings"].items()]


def _finding(node: Node, view: PaperView, names: list[str]) -> Finding:
    fields = node.fields(("says",), ("caveat", "claims", "groups", "gates", "values"))
    rests = [
        rest for part in ("claims", "groups", "gates") if part in fields for rest in _rests(part, fields[part], view)
    ]
    if not rests:
        raise node.error("rests on nothing: name its `claims`, `groups` or `gates`")
    moved = [
        f"{rest.what}: {rest.said} when this was written, now {rest.now}" for rest in rests if rest.said != rest.now
    ]
    values: dict[str, str] = {}
    for name, item in (fields["values"].entries() if "values" in fields else {}).items():
        value = _value(item, view)
        entries = item.entries()
        values[name] = value.shown(entries["form"].choice(*FORMS) if "form" in entries else FORMS[0])
        if "between" in item.entries():
            least, most = (end.number() for end in item.entries()["between"].items())
            if not least <= value.value <= most:
                moved.append(
                    f"{name} is {number(value.value)}, and the sentence is true from {number(least)} to {number(most)}"
                )
    texts = [_filled(fields[part], values, names) if part in fields else "" for part in ("says", "caveat")]
    used = {name for part in ("says", "caveat") if part in fields for name in PLACEHOLDER.findall(fields[part].text())}
    if unused := sorted(set(values) - used):
        raise node.error(f"the value {unused[0]!r} is in no sentence")
    return Finding(texts[0], texts[1], rests, moved)


def _filled(node: Node, values: Mapping[str, str], names: list[str]) -> str:
    """The text with its values. A digit that is in neither a value nor a name would be an unmeasured number."""
    text = node.text()
    bare = PLACEHOLDER.sub("", text)
    for name in sorted(names, key=len, reverse=True):
        bare = bare.replace(name, "")
    if digit := DIGITS.search(bare):
        where = bare[max(0, digit.start() - 20) : digit.end() + 10]
        raise node.error(f"the number at {where!r} comes from no result; give it under `values`, or under `names`")

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise node.error(f"there is no value {found[1]!r}.{nearest(found[1], values)}")
        return values[found[1]]

    return PLACEHOLDER.sub(value, text)


def _rests(part: str, node: Node, view: PaperView) -> list[Rest]:
    rests = []
    claims = {one.claim.id: one for one in view.claims}
    groups = {one.group.name: one for one in view.ledger.groups}
    tables = {table.name: table for table in view.tables}
    for name, item in node.entries().items():
        if part == "claims":
            claim = _known(item, name, claims)
            rests.append(Rest("claim", name, item.choice(*WORDS), claim.headline.verdict, claim.claim.says))
        elif part == "groups":
            group = _known(item, name, groups)
            rests.append(Rest("group", name, item.choice(*GROUP_WORDS), group.verdict, group.group.says))
        else:
            table = _known(item, name, tables)
            status = next((judged.status for judged in table.judgements.values()), "no gate")
            rests.append(Rest("gate", name, item.choice(*STATUSES, "no gate"), status, table.published.title))
    return rests


def _known(node: Node, name: str, known: Mapping[str, T]) -> T:
    if name not in known:
        raise node.error(f"there is no {name!r}.{nearest(name, known)}")
    return known[name]


def _value(node: Node, view: PaperView) -> _Value:
    entries = node.entries()
    optional = ("digits", "between", "form")
    digits = entries["digits"].whole() if "digits" in entries else None
    if "claim" in entries:
        return _of_claim(node.fields(("claim",), optional)["claim"], view, digits)
    if "count" in entries:
        fields = node.fields(("count",), ("kind", *optional))
        return _count(fields["count"].choice(*GROUP_WORDS, "all"), fields.get("kind"), view)
    where = ("floor",) if "floor" in entries else ("row",)
    fields = node.fields(("table", "metric", *where), ("against", "over", *optional) if where == ("row",) else optional)
    table = _known(fields["table"], fields["table"].text(), {table.name: table for table in view.tables})
    column = table.published.column(fields["metric"].text())
    if column is None:
        raise fields["metric"].error(f"table {table.name} has no column {fields['metric'].text()!r}")
    digits = column.digits if digits is None else digits
    return _of_floor(fields, table, column, digits) if where == ("floor",) else _of_rows(fields, table, column, digits)


def _of_floor(fields: Mapping[str, Node], table: TableView, column: Column, digits: int | None) -> _Value:
    result = _result(table)
    name = fields["floor"].text()
    rows = [row for row in result.floors if row.key.get(FLOOR) == name and column.name in row.metrics] if result else []
    if not rows:
        raise fields["floor"].error(f"table {table.name} has no floor {name!r} with {column.name}")
    return _Value(rows[0].metrics[column.name].mean, column.unit, digits)


def _of_rows(fields: Mapping[str, Node], table: TableView, column: Column, digits: int | None) -> _Value:
    row, metric = _measured(fields["row"], table, column)
    if "over" in fields:
        return _Value(metric.mean / _measured(fields["over"], table, column)[1].mean, "", digits)
    if "against" not in fields:
        return _Value(metric.mean, column.unit, digits)
    other, theirs = _measured(fields["against"], table, column)
    gap = difference(column, row, other)
    interval = (gap.low, gap.high) if gap and gap.low is not None and gap.high is not None else None
    return _Value(metric.mean - theirs.mean, step(column.unit), digits, interval, difference=True)


def _measured(node: Node, table: TableView, column: Column) -> tuple[Row, Metric]:
    result = _result(table)
    key = node.key()
    row = result.row(**key) if result else None
    if row is None or column.name not in row.metrics:
        raise node.error(f"table {table.name} has no {column.name} of the row {label(key)} at a scale that counts")
    return row, row.metrics[column.name]


def _result(table: TableView) -> Result | None:
    return next((table.results[scale] for scale in table.results if scale != "quick"), None)


def _of_claim(node: Node, view: PaperView, digits: int | None) -> _Value:
    one = _known(node, node.text(), {one.claim.id: one for one in view.claims})
    claim, statistic = one.claim, one.headline.statistic
    if "estimate" not in statistic:
        raise node.error(f"the claim {claim.id!r} has no estimate: {one.headline.sentence}")
    compares = claim.check in ("better", "equivalence", "monotone")
    unit = claim.column.unit if claim.column else ""
    unit = "%" if claim.relative else step(unit) if compares else unit
    estimate = float(statistic["estimate"])
    if claim.check == "exponent":
        unit = ""
    if "low" not in statistic or statistic["low"] == statistic["high"]:
        return _Value(estimate, unit, digits, difference=compares)
    low, high = float(statistic["low"]), float(statistic["high"])
    return _Value(estimate, unit, decimals((high - low) / 2) if digits is None else digits, (low, high), compares)


def _count(word: str, kind: Node | None, view: PaperView) -> _Value:
    of_kind = None if kind is None else kind.choice(*KINDS)
    groups = [group for group in view.ledger.groups if of_kind in (None, group.group.kind)]
    return _Value(sum(word in ("all", group.verdict) for group in groups))
