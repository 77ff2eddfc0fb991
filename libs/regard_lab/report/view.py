"""A table's page before HTML: one line per row and scale, one entry per metric, the published number beside ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from regard_lab.common.errors import UserError
from regard_lab.common.formatting import Key, label, number, parts, signed, step
from regard_lab.evidence.checks import ROUNDING
from regard_lab.evidence.claims import WORDS, Verdict, headline, judge
from regard_lab.evidence.gate import FLOOR, Judgement, judge_after
from regard_lab.evidence.gate import judge as judge_gates
from regard_lab.evidence.groups import judge_groups
from regard_lab.evidence.paper import Claim, Paper, PublishedTable
from regard_lab.evidence.verdict import Ledger
from regard_lab.experiment.results import DECIDING, SCALES, DataUse, Metric, Result, Row, Scale, Status
from regard_lab.experiment.table_file import Column, PublishedRow
from regard_lab.report.figures import QUICK

NOT_KNOWN = "not known"
NONE_KNOWN = "No number of the paper is known for this table."
NOT_COMPARED = "not compared"
INPUT = "published numbers; nothing to run"
Fingerprint = Callable[[str, str, str], str | None]
SHOWN: tuple[Scale, ...] = tuple(reversed(SCALES))  # best evidence first


@dataclass(frozen=True)
class Entry:
    """One metric of one line: ours, the paper's, and their difference in the column's unit."""

    column: Column
    ours: Metric | None
    published: float | None
    approximate: bool
    source: str
    compared: bool

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's; `None` if either is missing, or if ours is no evidence."""
        if self.ours is None or self.published is None or not self.compared:
            return None
        return self.ours.mean - self.published

    @property
    def mean_sd(self) -> str:
        """Mean ± standard deviation; a single seed has no deviation."""
        if self.ours is None:
            return ""
        mean = number(self.ours.mean, self.column.digits)
        return mean if self.ours.sd is None else f"{mean} ± {number(self.ours.sd, self.column.digits)}"

    @property
    def paper_text(self) -> str:
        """The published number, "≈" before one that a source calls approximate; or "not known"."""
        if self.published is None:
            return NOT_KNOWN
        return f"≈ {number(self.published)}" if self.approximate else number(self.published, self.column.digits)

    @property
    def difference_text(self) -> str:
        """The difference with sign and unit, or "equal"; "not compared" for what is no evidence or of something else; or nothing."""
        if self.difference == 0:
            return "equal"
        if self.difference is not None:
            return f"{signed(self.difference, self.column.digits)} {step(self.column.unit)}".strip()
        return NOT_COMPARED if self.ours is not None and self.published is not None else ""


@dataclass(frozen=True)
class Line:
    """A row at a scale; `scale` is `None` for a row of a table that has not been run."""

    key: Key
    scale: Scale | None
    status: Status | Literal["input"]
    reason: str
    stale: bool
    data: list[DataUse]
    entries: list[Entry]
    records: list[str]

    @property
    def name(self) -> str:
        return parts(self.key)[0]

    @property
    def detail(self) -> str:
        return parts(self.key)[1]

    @property
    def quick(self) -> bool:
        return self.scale == "quick"

    @property
    def scale_text(self) -> str:
        return QUICK if self.quick else self.scale or "—"

    @property
    def data_text(self) -> str:
        return "; ".join(data_text(use) for use in self.data) or "none"

    @property
    def other_data(self) -> bool:
        """Was any data set used in place of the paper's own?"""
        return any(use.stands_in_for for use in self.data)

    @property
    def status_text(self) -> str:
        text = f"{self.status}: {self.reason}" if self.reason else self.status
        return f"{text} (stale)" if self.stale else text


def data_text(use: DataUse) -> str:
    return f"{use.name}, stands in for {use.stands_in_for}" if use.stands_in_for else use.name


@dataclass(frozen=True)
class TableView:
    """A table with its results, by scale. `stale`: scales whose result is not that of the current code."""

    paper: str
    published: PublishedTable
    results: Mapping[Scale, Result]
    stale: frozenset[Scale]
    judgements: Mapping[Scale, Judgement] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.published.name

    @property
    def slug(self) -> str:
        return f"{self.paper}-{self.name}"

    @cached_property
    def groups(self) -> list[tuple[Scale | None, list[Line]]]:
        """The lines of each scale that has a result, best evidence first; one group without a scale if none has."""
        scales = [scale for scale in SHOWN if scale in self.results]
        return [(scale, self._lines(scale)) for scale in scales] or [(None, self._lines(None))]

    @property
    def lines(self) -> list[Line]:
        return [line for _, lines in self.groups for line in lines]

    @property
    def states(self) -> list[tuple[Scale, str]]:
        """What has been run at each scale, in words."""
        return [(scale, self._state(scale)) for scale in SHOWN]

    @property
    def input_words(self) -> str:
        """What an input shows in place of scales."""
        return INPUT

    def floors(self, scale: Scale) -> list[tuple[str, str]]:
        """Each floor of a result with its value and unit, in words."""
        named = []
        for row in self.results[scale].floors:
            where = ", ".join(str(value) for part, value in row.key.items() if part != FLOOR)
            name = str(row.key[FLOOR]).replace("_", " ")
            for column, metric in row.metrics.items():
                of = column.replace("_", " ") if len(row.metrics) > 1 else ""
                words = ", ".join(part for part in (name, where, of) if part)
                named.append((words, f"{number(metric.mean)} {metric.unit}".strip()))
        return named

    @property
    def known(self) -> str:
        """How many of the table's cells the paper has a number for, in one sentence."""
        rows = self.published.rows
        cells = [row.values.get(column.name) for row in rows for column in self.published.columns]
        known = sum(value is not None for value in cells)
        return f"The paper's numbers are known for {known} of {len(cells)} cells." if known else NONE_KNOWN

    @property
    def not_compared(self) -> list[str]:
        """Why no difference from the paper is given: a sentence for all columns with one reason, one for other data."""
        with_number = {name for row in self.published.rows for name, value in row.values.items() if value is not None}
        reasons: dict[str, list[str]] = {}
        for column in self.published.columns:
            if column.name in with_number and column.name in self.published.not_compared:
                reasons.setdefault(self.published.not_compared[column.name], []).append(column.label)
        sentences = [f"Not compared with the paper's ({'; '.join(labels)}): {why}." for why, labels in reasons.items()]
        uses = {data_text(use) for result in self.results.values() for use in result.data if use.stands_in_for}
        if with_number and uses:
            sentences.append(f"Not compared with the paper's: other data ({'; '.join(sorted(uses))}).")
        return sentences

    @property
    def references(self) -> list[str]:
        """What others measured for the same rows, one sentence per row."""
        columns = {column.name: column for column in self.published.columns}
        return [
            f"{one.by}: {label(one.row)}, {columns[name].label} {number(mean, 2)} ± {number(sd, 2)} {columns[name].unit} ({runs} runs)."
            for one in self.published.references
            for name, (mean, sd, runs) in one.values.items()
        ]

    @property
    def unlisted(self) -> list[str]:
        """Metrics that were measured but are no column of this table; the run records show them."""
        known = {column.name for column in self.published.columns}
        return sorted({name for result in self.results.values() for row in result.rows for name in row.metrics} - known)

    def _state(self, scale: Scale) -> str:
        if scale not in self.results:
            return "not run"
        lines = [line for line in self.lines if line.scale == scale]
        count = f"{sum(line.status == 'ok' for line in lines)} of {len(lines)} rows"
        return f"{count}, stale" if scale in self.stale else count

    def _lines(self, scale: Scale | None) -> list[Line]:
        result = self.results[scale] if scale else None
        elsewhere = self.published.elsewhere.get(scale, ()) if scale else ()
        listed = [row.key for row in self.published.rows if row.key not in elsewhere]
        ours = [row.key for row in result.rows if row.key not in listed] if result else []
        return [self._line(key, result) for key in [*listed, *ours]]

    def _line(self, key: Key, result: Result | None) -> Line:
        row = result.row(**key) if result else None
        published = self.published.row(key) or PublishedRow(key, {})
        scale = result.scale if result else None
        status: Status | Literal["input"]
        if self.published.input:
            status, reason = "input", INPUT
        elif row:
            status, reason = row.status, row.reason
        else:
            status, reason = "not run", "this result has no such row" if result else "no result at any scale"
        return Line(
            key=key,
            scale=scale,
            status=status,
            reason=reason,
            stale=scale in self.stale,
            data=result.data if result else [],
            entries=[self._entry(column, row, published, result) for column in self.published.columns],
            records=row.cells if row else [],
        )

    def _entry(self, column: Column, row: Row | None, published: PublishedRow, result: Result | None) -> Entry:
        ours = row.metrics.get(column.name) if row else None
        other_data = result is not None and any(use.stands_in_for for use in result.data)
        if ours is not None and row is not None and result is not None:
            where = f"results of {self.paper}/{self.name} at scale {result.scale}, row {label(row.key)}"
            if ours.unit != column.unit:
                raise UserError(
                    f"{where}: {column.name} is in {ours.unit!r}, but tables/{self.name}.yaml gives it in {column.unit!r}"
                )
            if not len(ours.values) == len(row.seeds) == ours.n:
                raise UserError(
                    f"{where}: {len(ours.values)} values of {column.name} for {len(row.seeds)} seeds, n = {ours.n}"
                )
        return Entry(
            column=column,
            ours=_once(ours) if ours and column.exact else ours,
            published=published.values.get(column.name),
            approximate=column.name in published.approximate,
            source=published.sources.get(column.name, self.published.source),
            compared=result is not None
            and result.scale != "quick"
            and not other_data
            and column.name not in self.published.not_compared,
        )


def _once(metric: Metric) -> Metric:
    """A value computed without randomness counts once, however many seeds gave it."""
    same = max(metric.values) - min(metric.values) <= ROUNDING * max(abs(value) for value in metric.values)
    return Metric.of(metric.values[:1], metric.unit) if metric.values and same else metric


@dataclass(frozen=True)
class ClaimView:
    """A claim, its verdicts at each scale, and the data behind them."""

    claim: Claim
    verdicts: list[Verdict]
    other_data: list[str]

    @property
    def headline(self) -> Verdict:
        return headline(self.verdicts)


@dataclass(frozen=True)
class PaperView:
    paper: Paper
    tables: list[TableView]
    claims: list[ClaimView]
    ledger: Ledger

    @property
    def counts(self) -> dict[str, int]:
        """How many claims have each verdict."""
        words = [claim.headline.verdict for claim in self.claims]
        return {word: words.count(word) for word in WORDS}

    @property
    def gaps(self) -> list[tuple[str, str]]:
        """What is not reproduced and why: whole tables, then single rows at scales that count as evidence, then what the paper's file says."""
        tables = [
            (f"Table {table.name}: {table.published.title}", "not run at a scale that counts as evidence")
            for table in self.tables
            if table.lines and not table.published.input and not {"paper", "laptop"} & set(table.results)
        ]
        rows = [
            (f"Table {table.name}, {label(line.key)} at scale {line.scale}", line.status_text)
            for table in self.tables
            for line in table.lines
            if line.scale in ("paper", "laptop") and line.status != "ok"
        ]
        return [*tables, *rows, *self.paper.not_reproduced]


def paper_view(paper: Paper, results: Mapping[tuple[str, Scale], Result], fingerprint_of: Fingerprint) -> PaperView:
    """Put a paper's tables and claims beside its results, by (table, scale)."""
    tables = []
    for name, published in paper.tables.items():
        own = {scale: results[name, scale] for scale in SHOWN if (name, scale) in results}
        stale = {scale for scale, one in own.items() if fingerprint_of(paper.name, name, scale) != one.fingerprint}
        tables.append(TableView(paper.name, published, own, frozenset(stale), _judgements(name, paper, results)))
    by_name = {table.name: table for table in tables}
    verdicts = {}
    for claim in paper.claims:
        table = by_name[claim.table]
        verdicts[claim.id] = judge(claim, table.results, table.stale, table.judgements)
    ledger = judge_groups(paper, verdicts)
    claims = [
        _claim_view(member.claim, member.verdicts, by_name[member.claim.table])
        for group in ledger.groups
        for member in group.members
    ]
    return PaperView(paper, tables, claims, ledger)


def _judgements(name: str, paper: Paper, results: Mapping[tuple[str, Scale], Result]) -> dict[Scale, Judgement]:
    """The gate's judgement of each result of a table that could decide something, best evidence first."""
    table = paper.tables[name]
    by_scale: dict[Scale, Judgement] = {}
    for scale in DECIDING:
        if (name, scale) not in results:
            continue
        if table.gates:
            by_scale[scale] = judge_gates(table.gates, results[name, scale])
        elif table.after:
            by_scale[scale] = judge_after({one: _judgements(one, paper, results).get(scale) for one in table.after})
    return by_scale


def _claim_view(claim: Claim, verdicts: list[Verdict], table: TableView) -> ClaimView:
    scales = [verdict.scale for verdict in verdicts if verdict.scale]
    uses = [use for scale in scales for use in table.results[scale].data if use.stands_in_for]
    return ClaimView(claim, verdicts, sorted({data_text(use) for use in uses}))
