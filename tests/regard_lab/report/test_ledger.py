"""The ledger: what a claim can be filtered by, and where to go from it."""

from pathlib import Path

from regard_lab.evidence.paper import Claim
from regard_lab.report.ledger import command, compared, directions, entries, mechanisms, metrics_claimed
from regard_lab.report.site import collect
from tests.regard_lab.report.sample_site import LAPTOP, current


def test_entries_follow_the_groups(root: Path) -> None:
    (view,) = collect(root, current).views
    better, fast = entries(view)
    assert (better.claim.claim.id, better.scale, better.record) == ("better", "laptop", LAPTOP.rows[1].cells[0])
    assert better.command == "make reproduce TABLE=sample/scores SCALE=laptop"
    assert (fast.scale, fast.record) == ("none", None)
    assert fast.command == command("sample", "later") == "make reproduce TABLE=sample/later SCALE=laptop"


def test_what_a_table_s_claims_say_of_its_columns(root: Path) -> None:
    (view,) = collect(root, current).views
    scores = view.tables[0]
    assert metrics_claimed(view, scores) == ["accuracy"]
    assert directions(view, scores) == {"accuracy": "higher"}
    assert compared(view, scores) == [{"attention": "old"}]


def test_mechanisms_are_those_of_the_library() -> None:
    row = {"attention": "smyrf", "trained": "softmax", "scheme": "plain"}
    claim = Claim("a", "experiment", "g", "", "", "better", "t", "m", row=row, against={"attention": "softmax"})
    assert mechanisms(claim) == ["smyrf", "softmax"]
