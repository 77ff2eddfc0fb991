"""All claims of all papers as one list, each with its filter keys and its links."""

from collections import Counter
from dataclasses import dataclass

from regard.registry import list_mechanisms
from regard_lab.common.formatting import Key
from regard_lab.evidence.paper import Claim
from regard_lab.evidence.verdict import GroupVerdict, Verdict
from regard_lab.report.view import ClaimView, PaperView, TableView

EVIDENCE = "laptop"  # the scale in the command for a claim that has no verdict yet


@dataclass(frozen=True)
class Entry:
    """One claim: its sentence's group, its mechanisms, the command that measures it again, and the record of its first row (cell, or `None`)."""

    view: PaperView
    table: TableView
    group: GroupVerdict
    claim: ClaimView
    mechanisms: list[str]
    command: str
    record: str | None

    @property
    def headline(self) -> Verdict:
        return self.claim.headline

    @property
    def scale(self) -> str:
        """The scale of the evidence, "none" where there is none."""
        return self.headline.scale or "none"


def command(paper: str, table: str, scale: str = EVIDENCE) -> str:
    """The command that brings a table up to date and writes its page."""
    return f"make reproduce TABLE={paper}/{table} SCALE={scale}"


def entries(view: PaperView) -> list[Entry]:
    """The claims of a paper in the order of their groups."""
    views = {one.claim.id: one for one in view.claims}
    tables = {table.name: table for table in view.tables}
    listed = []
    for group in view.ledger.groups:
        for member in group.members:
            claim, table = views[member.claim.id], tables[member.claim.table]
            scale = claim.headline.scale or EVIDENCE
            listed.append(
                Entry(
                    view,
                    table,
                    group,
                    claim,
                    mechanisms(claim.claim),
                    command(view.paper.name, table.name, scale),
                    record(claim, table),
                )
            )
    return listed


def mechanisms(claim: Claim) -> list[str]:
    """The library's mechanisms that the rows of a claim name."""
    known = list_mechanisms()
    rows: list[Key] = [claim.row, claim.against or {}, *claim.rows]
    named = [str(value) for row in rows for value in row.values() if str(value) in known]
    return list(dict.fromkeys(named))


def record(claim: ClaimView, table: TableView) -> str | None:
    """The cell of the first run behind a claim's verdict, of those whose record is kept."""
    scale = claim.headline.scale
    if scale is None:
        return None
    wanted = claim.claim.row or (claim.claim.rows[0] if claim.claim.rows else {})
    rows = [row for row in table.results[scale].rows if wanted.items() <= row.key.items() and row.cells]
    return rows[0].cells[0] if rows else None


def metrics_claimed(view: PaperView, table: TableView) -> list[str]:
    """The metrics of a table that gates and claims rest on, the most claimed first."""
    claims = Counter(one.claim.metric for one in view.claims if one.claim.table == table.name)
    gates = [gate.metric for gate in table.published.gates]
    return list(dict.fromkeys([*(metric for metric, _ in claims.most_common()), *gates]))


def compared(view: PaperView, table: TableView) -> list[Key]:
    """The rows that claims compare others with."""
    own = [one.claim for one in view.claims if one.claim.table == table.name]
    return [claim.against for claim in own if claim.against is not None]


def directions(view: PaperView, table: TableView) -> dict[str, str]:
    """Metric -> the better direction, if a gate or a claim of superiority gives it; contradicting ones cancel."""
    said: dict[str, set[str]] = {}
    for gate in table.published.gates:
        said.setdefault(gate.metric, set()).add(gate.direction)
    for one in view.claims:
        if one.claim.table == table.name and one.claim.check == "better":
            said.setdefault(one.claim.metric, set()).add(one.claim.direction)
    return {metric: next(iter(ways)) for metric, ways in said.items() if len(ways) == 1}
