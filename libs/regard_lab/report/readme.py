"""The findings in the READMEs: the text between two marks is written by the report's command, from the same results.

A README without the marks is left alone. The committed text is thus the state of the findings when somebody last
reviewed them; a test compares it with today's.
"""

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from regard_lab.common.errors import UserError
from regard_lab.evidence.verdict import GROUP_WORDS, GroupWord
from regard_lab.report.findings import Finding
from regard_lab.report.view import SHOWN, PaperView

BEGIN, END = "<!-- findings: begin -->", "<!-- findings: end -->"
WIDTH = 120


def readmes(root: Path, views: Sequence[PaperView], found: Mapping[str, Sequence[Finding]]) -> dict[Path, str]:
    """The READMEs that have the marks, with today's findings between them.

    Args:
        root: The folder of the repository.
        views: The papers with their verdicts.
        found: The findings of each paper, by its name.

    Returns:
        The whole text of each README, by its path.

    Raises:
        UserError: A README that has only one of the marks.
    """
    blocks = {root / "README.md": overview(views, found)}
    for view in views:
        blocks[root / "projects" / view.paper.name / "README.md"] = listed(found[view.paper.name])
    return {path: text for path, block in blocks.items() if (text := _with(path, block)) is not None}


def overview(views: Sequence[PaperView], found: Mapping[str, Sequence[Finding]]) -> str:
    """One line per paper, then the first finding of each."""
    lines = [
        "| paper | run at | sentences decided by experiment | by timing | by counting or checking |",
        "|---|---|---|---|---|",
    ]
    for view in views:
        kinds = view.ledger.by_kind()
        others = [kinds[kind] for kind in ("arithmetic", "deterministic", "check") if kind in kinds]
        cells = [
            f"[{view.paper.title.partition(':')[0]}](projects/{view.paper.name})",
            ", ".join(scale for scale in SHOWN if any(scale in table.results for table in view.tables)) or "not run",
            _words([kinds["experiment"]] if "experiment" in kinds else []),
            _words([kinds["timing"]] if "timing" in kinds else []),
            _words(others),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for view in views:
        for finding in found[view.paper.name][:1]:
            title = view.paper.title.partition(":")[0]
            lines += [_wrapped(f"- **{title}.** {_sentence(finding)}", "  ")]
    return "\n".join(lines)


def listed(found: Sequence[Finding]) -> str:
    """All findings of a paper, numbered, each with the verdicts that it rests on."""
    return "\n".join(
        _wrapped(f"{number}. {_sentence(finding)} {_rests(finding)}", "   ") for number, finding in enumerate(found, 1)
    )


def _sentence(finding: Finding) -> str:
    moved = f"**Being rewritten** ({'; '.join(finding.moved)}): " if finding.moved else ""
    caveat = f" *{finding.caveat}*" if finding.caveat else ""
    return f"{moved}{finding.says}{caveat}"


def _rests(finding: Finding) -> str:
    return f"[{', '.join(f'`{rest.what}` {rest.now}' for rest in finding.rests)}]"


def _words(counts: Sequence[Mapping[GroupWord, int]]) -> str:
    """ "1 holds, 2 fails"."""
    total = {word: sum(count.get(word, 0) for count in counts) for word in GROUP_WORDS}
    return ", ".join(f"{number} {word}" for word, number in total.items() if number) or "none"


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _with(path: Path, block: str) -> str | None:
    """The README with this block between its marks; `None` if there is no README, or none with marks."""
    if not path.exists():
        return None
    text = path.read_text(encoding="utf-8")
    if BEGIN not in text and END not in text:
        return None
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise UserError(f"{path} needs {BEGIN} and {END}, once each and in this order")
    return pattern.sub(lambda _: f"{BEGIN}\n{block}\n{END}", text)
