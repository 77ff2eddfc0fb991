"""The findings in the READMEs are those of the committed results."""

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.experiment.results import DECIDING
from regard_lab.report.readme import BEGIN, END, readmes
from regard_lab.report.site import Collected, collect
from tests.paths import ROOT
from tests.regard_lab.report.sample_site import current
from tests.regard_lab.report.test_findings import SAYS


@pytest.fixture(scope="module")
def shipped() -> Collected:
    return collect(ROOT, current, DECIDING)  # as the command does: a checkout may have quick results


def test_no_finding_has_moved(shipped: Collected) -> None:
    moved = [
        (paper, finding.says, finding.moved)
        for paper, found in shipped.found.items()
        for finding in found
        if finding.moved
    ]
    assert not moved, "read these sentences again and rewrite projects/<paper>/findings.yaml"


def test_every_paper_has_three_to_seven_findings(shipped: Collected) -> None:
    assert {paper: 3 <= len(found) <= 7 for paper, found in shipped.found.items()} == dict.fromkeys(shipped.found, True)


def test_the_committed_readmes_hold_todays_findings(shipped: Collected) -> None:
    texts = readmes(ROOT, shipped.views, shipped.found)
    assert len(texts) == 1 + len(shipped.views)
    other = [str(path) for path, text in texts.items() if path.read_text(encoding="utf-8") != text]
    assert not other, "results have moved: run `python -m regard_lab.report`, read the findings and commit the READMEs"


def test_only_what_stands_between_the_marks_is_written(root: Path) -> None:
    (root / "projects" / "sample" / "findings.yaml").write_text(SAYS)
    (root / "README.md").write_text(f"Before.\n{BEGIN}\nold\n{END}\nAfter.\n")
    (root / "projects" / "sample" / "README.md").write_text("No marks.\n")
    collected = collect(root, current)
    ((path, text),) = readmes(root, collected.views, collected.found).items()
    assert path == root / "README.md"
    assert text.startswith(f"Before.\n{BEGIN}\n| paper | run at |")
    assert text.endswith(f"{END}\nAfter.\n")
    assert "| [A sample & <more>](projects/sample) | laptop, quick | 1 holds | 1 not run | none |" in text
    assert "- **A sample & <more>.** New gains +3.10 points [2.85, 3.35] over old" in text


def test_a_mark_alone_is_refused(root: Path) -> None:
    (root / "README.md").write_text(f"{BEGIN}\n")
    collected = collect(root, current)
    with pytest.raises(UserError, match="once each and in this order"):
        readmes(root, collected.views, collected.found)
