"""The whole site in memory, then on disk: complete files, unchanged ones not rewritten, obsolete ones removed."""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import jinja2

from regard_lab import data, hours
from regard_lab.common.errors import UserError
from regard_lab.common.files import read_json, write_atomically
from regard_lab.evidence.paper import KINDS, Paper, papers
from regard_lab.evidence.verdict import GROUP_WORDS, WORDS
from regard_lab.experiment.results import Result, Scale, read_result, result_path
from regard_lab.report import sources
from regard_lab.report.budgets import budget
from regard_lab.report.drawing import draw, draw_performance
from regard_lab.report.dvc_files import metrics, plot
from regard_lab.report.findings import Finding, findings
from regard_lab.report.formats import as_csv, as_markdown, as_tex
from regard_lab.report.layout import layout
from regard_lab.report.ledger import command, compared, directions, entries, metrics_claimed
from regard_lab.report.matrix import matrix
from regard_lab.report.performance import Performance, performance
from regard_lab.report.records import anchor, runs
from regard_lab.report.view import SHOWN, Fingerprint, PaperView, TableView, paper_view

MANIFEST = "files.json"
DEFECTS = Path("docs", "defects.md")
ASSETS = Path(__file__).parent / "assets"
FORMATS: dict[str, Callable[[TableView], str]] = {"csv": as_csv, "md": as_markdown, "tex": as_tex}
Files = dict[str, bytes]


def read_results(paper: Paper, root: Path, scales: Sequence[Scale] = SHOWN) -> dict[tuple[str, Scale], Result]:
    """The results of a paper's tables at these scales; an incomplete file is a `UserError`."""
    results: dict[tuple[str, Scale], Result] = {}
    for table in paper.tables:
        for scale in scales:
            path = result_path(root, paper.name, table, scale)
            if path.exists():
                result = read_result(path)
                if (result.paper, result.table, result.scale) != (paper.name, table, scale):
                    raise UserError(
                        f"{path} says it is {result.paper}/{result.table} at scale {result.scale}; delete it and run again"
                    )
                results[table, scale] = result
    return results


@dataclass(frozen=True)
class Collected:
    """The content of report and READMEs: papers with their verdicts, findings by paper, and measured times, if any."""

    papers: list[Paper]
    views: list[PaperView]
    found: dict[str, list[Finding]]
    measured: Performance | None


def collect(root: Path, fingerprint_of: Fingerprint, scales: Sequence[Scale] = SHOWN) -> Collected:
    """Read and judge everything. Nothing is written.

    Args:
        root: The folder of the repository.
        fingerprint_of: What a result's fingerprint would be now, by paper, table and scale; another one makes the
            result stale.
        scales: The scales whose results are read. Default: all.

    Raises:
        UserError: A paper, a table, a result or findings that cannot be read.
    """
    all_papers = papers(root)
    if not all_papers:
        raise UserError(f"no projects/*/paper.yaml below {root.resolve()}; run this at the root of the repository")
    views = [paper_view(paper, read_results(paper, root, scales), fingerprint_of) for paper in all_papers]
    found = {view.paper.name: findings(root / "projects" / view.paper.name, view) for view in views}
    return Collected(all_papers, views, found, performance(root))


def render(root: Path, fingerprint_of: Fingerprint, scales: Sequence[Scale] = SHOWN) -> Files:
    """Every file of the report, by its path below `reports/`; arguments and errors are those of `collect`. Nothing is written."""
    return site_of(root, collect(root, fingerprint_of, scales))


def site_of(root: Path, collected: Collected) -> Files:
    """Every file of the report, by its path below `reports/`, made from what has been collected."""
    views, found, measured = collected.views, collected.found, collected.measured
    document = _document(root)
    pages = _environment()
    pages.globals |= {
        "papers": collected.papers,
        "has_performance": measured is not None,
        "has_defects": document is not None,
        "anchor": anchor,
        "command": command,
        "page_of": sources.page_of,
        "formats": list(FORMATS),
        "words": WORDS,
        "group_words": GROUP_WORDS,
        "kinds": KINDS,
    }
    files: Files = {f"assets/{path.name}": path.read_bytes() for path in sorted(ASSETS.iterdir())}
    listed = {view.paper.name: entries(view) for view in views}
    shown: set[str] = set()  # the files of the repository that get a page
    for view in views:
        shown |= _paper_files(pages, view, found[view.paper.name], root, files)
    files["metrics.json"] = metrics(views).encode()
    side_by_side = matrix(views, measured)
    context = {"views": views, "found": found}
    files["index.html"] = _page(pages, "index.html", "index.html", matrix=side_by_side, listed=listed, **context)
    files["claims.html"] = _page(
        pages, "claims.html", "claims.html", listed=[entry for view in views for entry in listed[view.paper.name]]
    )
    cards = [data.card(name) for name in data.names()]
    files["data.html"] = _page(pages, "data.html", "data.html", cards=cards, uses=_uses(views))
    if measured is not None:
        drawn = draw_performance(measured, files)
        shown |= {
            kind.script
            for machine in measured.machines
            for timed in machine.tables
            for kind in timed.kinds
            if kind.script and (root / kind.script).is_file()
        }
        files["performance.html"] = _page(
            pages, "performance.html", "performance.html", page=measured, drawn=drawn, shown=shown
        )
    if document is not None:
        files["defects.html"] = _page(pages, "document.html", "defects.html", title=document[0], html=document[1])
    for path, lines in sources.texts(root, shown).items():
        name = sources.page_of(path)
        files[name] = _page(pages, "source.html", name, path=path, lines=lines)
    return files


def _paper_files(
    pages: jinja2.Environment, view: PaperView, found: list[Finding], root: Path, files: Files
) -> set[str]:
    """Write a paper's page, tables, figures and records into `files`; return the files of the repository that they link to."""
    name = view.paper.name
    drawn = draw(view, [result for table in view.tables for result in table.results.values()], root, files)
    origins = {table.name: sources.origin(root, name, table.name) for table in view.tables}
    context: dict[str, Any] = {
        "view": view,
        "figures": drawn,
        "found": found,
        "listed": entries(view),
        "origins": origins,
        "layouts": {
            table.name: layout(table, metrics_claimed(view, table), directions(view, table), compared(view, table))
            for table in view.tables
        },
        "hours": hours.page_rows(name, root),
        "rates": hours.rates(),
        "budgets": {
            table.name: {scale: budget(result) for scale, result in table.results.items()} for table in view.tables
        },
    }
    files[f"{name}.html"] = _page(pages, "paper.html", f"{name}.html", **context)
    for table in view.tables:
        for ending, write in FORMATS.items():
            files[f"tables/{table.slug}.{ending}"] = write(table).encode()
        if table.results:
            records = [(scale, runs(table.results[scale])) for scale in SHOWN if scale in table.results]
            page = f"records/{table.slug}.html"
            files[page] = _page(
                pages, "records.html", page, view=view, table=table, listed=records, origin=origins[table.name]
            )
        if (bars := plot(view, table)) is not None:
            files[f"plots/{table.slug}.csv"] = bars.encode()
    of_tables = {
        path
        for origin in origins.values()
        for path in (origin.table, *origin.experiments, *([origin.code] if origin.code else []))
    }
    return of_tables | {figure.script for figure in drawn}


def _document(root: Path) -> tuple[str, str] | None:
    """The page of defects in released code, as title and HTML."""
    path = root / DEFECTS
    return sources.markdown(path.read_text(encoding="utf-8")) if path.exists() else None


def publish(files: Files, folder: Path) -> tuple[int, int]:
    """Bring `folder` to these files and return how many were written and removed. Files that the report did not write are left alone."""
    before = _written_before(folder)
    listed = sorted(files)
    if before != listed:  # first write a list of the old and the new files, so that a crash leaves no orphans
        _write_list(folder, sorted({*before, *listed}))
    written = 0
    for name in listed:
        path = folder / name
        if not path.exists() or path.read_bytes() != files[name]:
            write_atomically(path, files[name])
            written += 1
    obsolete = [name for name in before if name not in files]
    for name in obsolete:
        (folder / name).unlink(missing_ok=True)
    if before != listed:
        _write_list(folder, listed)
    return written, len(obsolete)


def _write_list(folder: Path, names: list[str]) -> None:
    write_atomically(folder / MANIFEST, json.dumps(names, indent=1) + "\n")


def _written_before(folder: Path) -> list[str]:
    """The files that the last report wrote. A list that points outside the folder is refused."""
    path = folder / MANIFEST
    if not path.exists():
        return []
    names = read_json(path)
    if not isinstance(names, list) or not all(isinstance(name, str) and _inside(name) for name in names):
        raise UserError(f"{path} is not the report's list of files; delete it and run again")
    return names


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("regard_lab.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["gates"] = lambda view: Counter(
        judged.status for table in view.tables for judged in [*table.judgements.values()][:1]
    )
    environment.filters["scales_run"] = scales_run
    environment.filters["slug"] = lambda word: re.sub(r"[^a-z]+", "-", word.lower())
    return environment


def scales_run(view: PaperView) -> list[str]:
    """How many of a paper's tables have been run at each scale, best evidence first: "laptop: 12 of 12 tables".

    A table none of whose rows could run, because its data are missing, has a result but does not count.
    """
    tables = [table for table in view.tables if not table.published.input]
    counts = Counter(
        scale
        for table in tables
        for scale, result in table.results.items()
        if any(row.status != "not run" for row in result.rows)
    )
    return [f"{scale}: {counts[scale]} of {len(tables)} tables" for scale in SHOWN if counts[scale]] or ["not run"]


def _page(environment: jinja2.Environment, template: str, name: str, **context: Any) -> bytes:
    base = sources.base_of(name)
    return (environment.get_template(template).render(base=base, here=name, **context) + "\n").encode()


def _uses(views: list[PaperView]) -> dict[str, list[tuple[str, str, str | None]]]:
    """For each data set the tables that used it: (page, table, what it stands in for)."""
    uses: dict[str, list[tuple[str, str, str | None]]] = {}
    for view in views:
        for table in view.tables:
            for use in {use for result in table.results.values() for use in result.data}:
                entry = (view.paper.name, table.name, use.stands_in_for)
                if entry not in uses.setdefault(use.name, []):
                    uses[use.name].append(entry)
    return {name: sorted(entries, key=str) for name, entries in uses.items()}
