"""`python -m regard_lab.stages` writes what the stages of the pipelines depend on, below `runs/fingerprints/`.

    <paper>/<table>-<scale>.json     the code and the configs of that table: one hash a cell
    report.json                      the code of the report and of the figures, the published numbers and claims, and which results are stale

The stage that runs this is always run, takes seconds, and changes a file only when that table's code or config really changed. So DVC
sees a formula, and is blind to comments, docstrings and layout.
"""

import sys
from pathlib import Path

from regard_lab import files
from regard_lab.errors import command
from regard_lab.fingerprint import code_fingerprint
from regard_lab.project import find_project, papers
from regard_lab.reproduce import read_scales
from regard_lab.tables import Table, current_fingerprint, load_table

FOLDER = Path("runs/fingerprints")


def write_fingerprints(root: Path) -> list[Path]:
    """Write every file and drop those of tables that are gone; a file whose content is the same is not touched."""
    wanted: dict[Path, dict[str, object]] = {
        Path("report.json"): {"report": report_fingerprint(root), "results": current_fingerprints(root)}
    }
    for paper in papers(root):
        for name in find_project(paper, root).tables(root):
            for scale in read_scales(root):
                wanted[Path(paper) / f"{name}-{scale}.json"] = described(load_table(paper, name, scale, root))
    folder = root / FOLDER
    for stale in set(folder.rglob("*.json")) - {folder / path for path in wanted}:
        stale.unlink()
    for path, content in wanted.items():
        target = folder / path
        if not target.exists() or files.read_json(target) != content:
            files.write_json(target, content)
    return sorted(folder / path for path in wanted)


def described(table: Table) -> dict[str, object]:
    """What the stage of a table depends on."""
    return {"table": table.fingerprint, "cells": {cell.id: cell.fingerprint for cell in table.cells}}


def report_fingerprint(root: Path) -> str:
    """The code of the report, its templates, each project's figures, published numbers and claims, and the data cards."""
    modules = ["regard_lab.report", "regard_lab.report.__main__"]
    modules += [
        f"projects.{paper}.figures" for paper in papers(root) if (root / "projects" / paper / "figures.py").exists()
    ]
    folder = root / "libs" / "regard_lab" / "report"
    read = sorted(path for path in folder.rglob("*") if path.suffix in (".html", ".css", ".js"))
    read += sorted((root / "projects").glob("*/*.yaml"))
    read += sorted((root / "libs" / "regard_lab" / "data" / "sets").glob("*.py"))  # their cards are a page
    contents = [path.read_text(encoding="utf-8") for path in read]
    return files.combined_sha256([code_fingerprint(modules, root), *contents])


def current_fingerprints(root: Path) -> dict[str, str | None]:
    """What each result of another scale than those of `params.yaml` would have for a fingerprint if it were made now.

    Where it differs, the report marks the result stale. Those of the scales in `params.yaml` need no mark: their stages run before the report.
    """
    kept_up = set(read_scales(root))
    found = sorted(path for path in (root / "results").glob("*/*/*.json") if path.parent.parent.name not in kept_up)
    return {
        str(path.relative_to(root)): current_fingerprint(path.parent.name, path.stem, path.parent.parent.name, root)
        for path in found
    }


@command
def main() -> int:
    print(f"{len(write_fingerprints(Path.cwd()))} fingerprints in {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
