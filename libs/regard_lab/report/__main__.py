"""`python -m regard_lab.report` writes `reports/`: a static site with every table, figure and claim, and the tables as csv, Markdown and LaTeX.

It is of the scales that are evidence. Where there are `quick` results, the same site with them is in `reports/quick/`, which is not in Git.

Exit code 2 with one sentence if a result or a paper's file cannot be read; the old report then stays intact.
"""

import argparse
import sys
from pathlib import Path

from regard_lab.common.errors import command
from regard_lab.experiment.results import DECIDING
from regard_lab.report.site import publish, render
from regard_lab.report.view import SHOWN
from regard_lab.write_fingerprints import known_fingerprint, up_to_date


@command
def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m regard_lab.report", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument(
        "--root", type=Path, default=Path(), help="the folder of projects/, results/ and reports/ (default: here)"
    )
    root: Path = parser.parse_args().root
    current = up_to_date(root)

    def fingerprint_of(paper: str, table: str, scale: str) -> str | None:
        return known_fingerprint(paper, table, scale, root, written=current)

    sites = {Path("reports"): DECIDING}
    if any((root / "results" / "quick").glob("*/*.json")):
        sites[Path("reports/quick")] = SHOWN
    for folder, scales in sites.items():
        files = render(root, fingerprint_of, scales)
        written, removed = publish(files, root / folder)
        print(f"{folder / 'index.html'}: {len(files)} files, {written} changed, {removed} removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
