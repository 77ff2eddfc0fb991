"""A claim and two rows to decide it with; every number is made up for the test that uses it."""

from typing import Any

from regard_lab.common.formatting import Key
from regard_lab.evidence.claims import Verdict, judge
from regard_lab.evidence.paper import Claim
from regard_lab.experiment.results import Result
from tests.regard_lab.samples import result, row

NEW: Key = {"attention": "new"}
OLD: Key = {"attention": "old"}


def claim(check: str, **more: Any) -> Claim:
    against = OLD if check in ("equivalence", "better") else None
    said = {"id": "c", "kind": "experiment", "group": "g", "says": "s", "source": "a", "check": check}
    return Claim(**{**said, "table": "scores", "metric": "accuracy", "row": NEW, "against": against, **more})


def two(new: list[float], old: list[float], **more: Any) -> Result:
    return result(row(NEW, {"accuracy": new}, **more), row(OLD, {"accuracy": old}))


def decide(one: Claim, evidence: Result) -> Verdict:
    (verdict,) = judge(one, {"laptop": evidence})
    return verdict
