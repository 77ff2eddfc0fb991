"""`python -m regard_lab.report` writes `reports/`: a static site with every table, figure and claim, and the tables as csv, Markdown and LaTeX.

The site covers the scales that count as evidence, and the command also writes the findings into READMEs that have the
marks for them (`regard_lab.report.readme`). If there are `quick` results, the same site with them is in
`reports/quick/`, which is not in Git.

Exit code 2 with one sentence if a result or a paper's file cannot be read; the old report then stays intact.
"""

import argparse
import sys
from pathlib import Path

from regard_lab.common.errors import command
from regard_lab.common.files import write_atomically
from regard_lab.experiment.results import DECIDING
from regard_lab.report.readme import readmes
from regard_lab.report.site import collect, publish, site_of
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

    collected = collect(root, fingerprint_of, DECIDING)
    texts = readmes(root, collected.views, collected.found)
    sites = {Path("reports"): site_of(root, collected)}
    if any((root / "results" / "quick").glob("*/*.json")):
        sites[Path("reports/quick")] = site_of(root, collect(root, fingerprint_of, SHOWN))
    for folder, files in sites.items():
        written, removed = publish(files, root / folder)
        size = sum(map(len, files.values())) / 1e6
        print(f"{folder / 'index.html'}: {len(files)} files, {size:.1f} MB, {written} changed, {removed} removed")
    for path, text in texts.items():
        if path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)
            print(f"{path}: findings changed")
    for paper, sentences in collected.found.items():
        for finding in sentences:
            for moved in finding.moved:
                print(f"projects/{paper}/findings.yaml: {moved}; read the sentence again: {finding.says}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
