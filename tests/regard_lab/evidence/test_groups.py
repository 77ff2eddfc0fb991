from typing import Any

import pytest

from regard_lab.evidence.groups import judge_groups
from regard_lab.evidence.paper import Claim, Group, Paper, Rule
from regard_lab.evidence.verdict import Ledger, Test, Verdict, Word


def ledger(*members: tuple[Word, float | None], rule: Rule = "all", more: dict[str, Any] | None = None) -> Ledger:
    """A paper of one group; each member has a verdict and the p of its test, `None` for one without a test."""
    claims = tuple(Claim(f"c{i}", "experiment", "g", "s", "a", "better", "t", "m") for i in range(len(members)))
    paper = Paper("p", "", (), 2024, "", "", {}, claims, (Group("g", "s", "experiment", rule),))
    verdicts = {
        claim.id: [Verdict(word, "", test=None if p is None else Test("two-sided interval", p, 0.05))]
        for claim, (word, p) in zip(claims, members, strict=True)
    }
    return judge_groups(paper, verdicts)


@pytest.mark.parametrize(
    ("members", "rule", "word"),
    [
        ([("holds", 0.01), ("holds", 0.04)], "all", "holds"),  # each holds: no correction is needed
        ([("holds", 0.01), ("undecided", 0.2)], "all", "undecided"),
        ([("holds", 0.01), ("gated", 0.01)], "all", "undecided"),
        ([("holds", 0.01), ("fails", 0.01)], "all", "mixed"),
        ([("undecided", 0.3), ("fails", 0.01)], "all", "fails"),
        ([("undecided", 0.3), ("fails", 0.04)], "all", "undecided"),  # 2 · 0.04 is above 0.05
        ([("fails", None), ("undecided", 0.2)], "all", "fails"),  # an exact counterexample needs no correction
        ([("gated", None), ("gated", None)], "all", "gated"),
        ([("gated", None), ("not run", None)], "all", "gated"),
        ([("not run", None)], "all", "not run"),
        ([("holds", 0.01), ("fails", 0.01)], "any", "holds"),
        ([("holds", 0.04), ("fails", 0.01), ("undecided", 0.5)], "any", "undecided"),  # 2 · 0.04 is above 0.05
        ([("fails", 0.04), ("fails", 0.04)], "any", "fails"),
        ([("fails", 0.01), ("undecided", 0.5)], "any", "undecided"),
        ([("fails", 0.01), ("gated", None)], "any", "undecided"),
    ],
)
def test_what_members_say_together(members: list[tuple[Word, float | None]], rule: Rule, word: str) -> None:
    (group,) = ledger(*members, rule=rule).groups
    assert group.verdict == word


def test_the_sentence_counts_what_was_tested() -> None:
    (group,) = ledger(("holds", 0.01), ("fails", 0.01), ("undecided", 0.4), ("gated", None)).groups
    assert group.sentence == "Holds in 1 of 3 tested, fails in 1, open in 1 (fails: c1); 1 gated."
    assert (group.tested, group.counts["gated"]) == (3, 1)
    (best,) = ledger(("fails", 0.01), ("fails", 0.01), rule="any").groups
    assert best.sentence == "Reached in none of 2, not reached in 2."
    (none,) = ledger(("gated", None)).groups
    assert none.sentence == "Not tested; 1 gated."


def test_corrections_by_hand() -> None:
    one = ledger(("holds", 0.01), ("fails", 0.04), ("undecided", 0.5), ("gated", 0.001))
    verdicts = [one.verdict(f"c{i}") for i in range(4)]
    corrections = [verdict.correction for verdict in verdicts]
    assert corrections[3] is None  # what is gated is no test
    assert [c.holm for c in corrections if c] == pytest.approx([0.03, 0.08, 0.5])
    assert [c.fdr for c in corrections if c] == pytest.approx([0.03, 0.06, 0.5])
    assert [c.survives for c in corrections if c] == [True, False, False]
    assert (one.tests, one.decided, one.survivors) == (3, 2, 1)
    assert one.by_kind()["experiment"]["mixed"] == 0
