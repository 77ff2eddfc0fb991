"""`python -m regard_lab.write_fingerprints` writes what the stages of the pipelines depend on, below `runs/fingerprints/`.

    <paper>/<table>-<scale>.json     the code, the configs and the data of that table: one hash per cell, one per data set
    report.json                      the code of the report and of the figures, the published numbers and claims, and which results are stale

The stage that runs this is always run, and it changes a file only if what that table reaches has really changed. So DVC
notices changed formulas, but not names, locations, messages or layout. If no source has changed by a byte since the
last call, nothing is composed.
"""

import concurrent.futures
import multiprocessing
import sys
from collections.abc import Callable, Iterable
from itertools import repeat
from pathlib import Path
from typing import Any

from regard_lab import data
from regard_lab.common import files
from regard_lab.common.errors import command
from regard_lab.experiment.experiment_file import check_scale
from regard_lab.experiment.fingerprint import code_fingerprint
from regard_lab.experiment.project import figures_script, find_project, papers
from regard_lab.experiment.results import result_path
from regard_lab.experiment.tables import current_fingerprint, load_table
from regard_lab.reproduce import read_scales

FOLDER = Path("runs/fingerprints")
# Beside the folder, whose content DVC records: a comment changes this file.
SOURCES = Path("runs/fingerprints-sources.json")


def write_fingerprints(root: Path, each: Callable[..., Iterable[Any]] = map) -> list[Path]:
    """Write every file and drop those of tables that are gone; a file whose content is the same is not touched. `each` is `map` or a pool's."""
    tables = [
        (paper, name, scale)
        for paper in papers(root)
        for name in find_project(paper, root).tables(root)
        for scale in read_scales(root)
    ]
    others = other_results(root)
    ours, theirs = each(described, tables, repeat(root)), each(current, others, repeat(root))
    wanted = {Path(paper) / f"{name}-{scale}.json": one for (paper, name, scale), one in zip(tables, ours, strict=True)}
    now = {str(path.relative_to(root)): one for path, one in zip(others, theirs, strict=True)}
    wanted[Path("report.json")] = {"report": report_fingerprint(root), "results": now}
    folder = root / FOLDER
    for stale in set(folder.rglob("*.json")) - {folder / path for path in wanted}:
        stale.unlink()
    for path, content in wanted.items():
        target = folder / path
        if not target.exists() or files.read_json(target) != content:
            files.write_json(target, content)
    return sorted(folder / path for path in wanted)


def sources(root: Path) -> str:
    """One hash of every byte that the fingerprints can depend on, and of the names of results."""
    # Data from packages are pinned, so fetching them in the meantime changes nothing.
    fetched = (path for kind in ("hub", "folder") for path in (root / "data").glob(f"*-{kind}/{data.MANIFEST}"))
    read = [root / "params.yaml", *fetched]
    for folder in ("libs", "projects"):
        read += (path for path in (root / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    contents = (f"{path.relative_to(root)} {files.text_sha256(path)}" for path in sorted(read))
    return files.combined_sha256(
        [sys.version, *contents, *(str(path.relative_to(root)) for path in other_results(root))]
    )


def keep_up(root: Path, each: Callable[..., Iterable[Any]] = map) -> str:
    """`write_fingerprints` if a source has changed since the last call or a file is gone; says which."""
    if up_to_date(root):
        return "no source has changed"
    now = sources(root)
    paths = write_fingerprints(root, each)
    files.write_json(root / SOURCES, {"sources": now, "files": [str(path.relative_to(root)) for path in paths]})
    return f"{len(paths)} written"


def up_to_date(root: Path) -> bool:
    """Whether the last call, if any, saw the sources as they are now and its files are still there."""
    path = root / SOURCES
    if not path.exists():
        return False
    last = files.read_json(path)
    return bool(last["sources"] == sources(root) and all((root / file).exists() for file in last["files"]))


def known_fingerprint(paper: str, table: str, scale: str, root: Path, *, written: bool) -> str | None:
    """`current_fingerprint`; read from what `keep_up` has written where that is `up_to_date`, which saves composing."""
    path = root / FOLDER / paper / f"{table}-{scale}.json"
    if written and path.exists():
        return str(files.read_json(path)["table"])
    results = files.read_json(root / FOLDER / "report.json")["results"] if written else {}
    name = str(result_path(Path(), paper, table, check_scale(scale)))
    return results[name] if name in results else current_fingerprint(paper, table, scale, root)


def described(named: tuple[str, str, str], root: Path) -> dict[str, object]:
    """The dependencies of a table's stage."""
    table = load_table(*named, root)
    return {
        "table": table.fingerprint,
        "cells": {cell.id: cell.fingerprint for cell in table.cells},
        "data": {name: checksum for cell in table.cells for name, checksum in cell.data.items()},
    }


def other_results(root: Path) -> list[Path]:
    """Results of other scales than those of `params.yaml`, whose stages run before the report."""
    kept_up = set(read_scales(root))
    return sorted(path for path in (root / "results").glob("*/*/*.json") if path.parent.parent.name not in kept_up)


def current(path: Path, root: Path) -> str | None:
    """The fingerprint that a result would have if it were made now. If it differs, the report marks the result stale."""
    return current_fingerprint(path.parent.name, path.stem, path.parent.parent.name, root)


def report_fingerprint(root: Path) -> str:
    """The code of the report, its templates, each project's figures, published numbers and claims, and the data cards."""
    modules = ["regard_lab.report", "regard_lab.report.__main__"]
    modules += [f"projects.{paper}.figures" for paper in papers(root) if figures_script(root, paper)]
    folder = root / "libs" / "regard_lab" / "report"
    read = sorted(path for path in folder.rglob("*") if path.suffix in (".html", ".css", ".js"))
    read += sorted((root / "projects").glob("*/*.yaml")) + sorted((root / "projects").glob("*/tables/*.yaml"))
    read += sorted((root / "libs" / "regard_lab" / "data" / "sets").glob("*.py"))  # their cards are a page
    contents = [path.read_text(encoding="utf-8") for path in read]
    return files.combined_sha256([code_fingerprint(modules, root), *contents])


@command
def main() -> int:
    # A table takes seconds to compose, and none of them needs torch.
    with concurrent.futures.ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        print(f"{FOLDER}: {keep_up(Path.cwd(), pool.map)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
