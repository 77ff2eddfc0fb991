"""`python -m regard_lab.report` writes `reports/`: a static site with every table, figure and claim, and the tables as csv, Markdown and LaTeX.

Exit code 2 with one sentence if a result or a paper's file cannot be read; the old report then stays intact.
"""

import argparse
import sys
from pathlib import Path

from regard_lab.common.errors import command
from regard_lab.report.site import publish, render
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
    files = render(root, lambda paper, table, scale: known_fingerprint(paper, table, scale, root, written=current))
    written, removed = publish(files, root / "reports")
    print(f"{root / 'reports' / 'index.html'}: {len(files)} files, {written} changed, {removed} removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
