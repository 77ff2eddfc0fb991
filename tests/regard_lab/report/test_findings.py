"""Findings: every number from a result, every sentence on verdicts, and what has moved is said."""

from dataclasses import replace
from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.experiment.results import result_path, write_result
from regard_lab.report.findings import Finding
from regard_lab.report.site import collect
from tests.regard_lab.report.sample_site import LAPTOP, current, page, words
from tests.regard_lab.samples import row

SAYS = """
names: [GPT-2]
findings:
  - says: New gains {gain} over old, and {new} in all; GPT-2 was not tried.
    caveat: Old needs {times} times the memory.
    claims: {better: holds}
    groups: {fast: not run}
    gates: {scores: no gate}
    values:
      gain: {claim: better, between: [1, 5]}
      new: {table: scores, row: {attention: new}, metric: accuracy}
      times: {table: scores, row: {attention: old}, over: {attention: new}, metric: memory}
"""


def found(root: Path, text: str = SAYS) -> Finding:
    (root / "projects" / "sample" / "findings.yaml").write_text(text)
    (finding,) = collect(root, current).found["sample"]
    return finding


def test_numbers_come_from_results(root: Path) -> None:
    finding = found(root)
    assert finding.says == "New gains +3.10 points [2.85, 3.35] over old, and 73.6 % in all; GPT-2 was not tried."
    assert finding.caveat == "Old needs 2 times the memory."
    assert [(rest.what, rest.now) for rest in finding.rests] == [
        ("better", "holds"),
        ("fast", "not run"),
        ("scores", "no gate"),
    ]
    assert finding.moved == []


def test_a_result_altered_by_hand_is_noticed(root: Path) -> None:
    found(root)
    worse = row({"attention": "new"}, {"accuracy": [60.0, 60.6, 61.2], "memory": [5.0] * 3}, units={"memory": "MiB"})
    altered = replace(LAPTOP, rows=[LAPTOP.rows[0], worse, LAPTOP.rows[2]])
    write_result(result_path(root, "sample", "scores", "laptop"), altered)
    finding = found(root)
    assert finding.moved == [
        "better: holds when this was written, now fails",
        "gain is −9.900, and the sentence is true from 1 to 5",
    ]
    shown = words(page(root).select_one(".findings"))
    assert "Being rewritten: better: holds when this was written, now fails" in shown
    assert "New gains −9.90 points" in shown


def test_findings_stand_first_and_link_to_their_claims(root: Path) -> None:
    found(root)
    soup = page(root)
    links = [str(link["href"]) for link in soup.select(".findings a")]
    assert links == ["#claim-better", "#group-fast", "#scores"]
    assert all(soup.select(link) for link in links)
    assert str(soup).index("New gains") < str(soup).index('id="claims"')
    assert page(root, "index.html").select('.findings a[href="sample.html#claim-better"]')


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("New gains", "New gains 3 points and", r"the number at 'New gains 3 points an' comes from no result"),
        ("{new}", "{newer}", r"there is no value 'newer'. Did you mean 'new'"),
        ("and {new} in all; ", "", r"the value 'new' is in no sentence"),
        ("{better: holds}", "{bettre: holds}", r"there is no 'bettre'"),
        ("{better: holds}", "{better: maybe}", r"expected one of holds, fails"),
        ("attention: new}, metric: accuracy", "attention: none}, metric: accuracy", r"no accuracy of the row none"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(root: Path, old: str, new: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        found(root, SAYS.replace(old, new, 1))


def test_a_sentence_that_rests_on_nothing_is_refused(root: Path) -> None:
    with pytest.raises(UserError, match="rests on nothing"):
        found(root, "findings: [{says: New is good.}]")
