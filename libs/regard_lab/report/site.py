"""The whole site in memory, then on disk: complete files, none rewritten without a change, none left that is no longer made."""

import importlib.util
import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import jinja2

from regard_lab import data, hours
from regard_lab.common.errors import UserError
from regard_lab.common.files import read_json, write_atomically
from regard_lab.evidence.claims import WORDS
from regard_lab.evidence.paper import Paper, papers
from regard_lab.experiment.project import figures_script
from regard_lab.experiment.results import Result, Scale, read_result, result_path
from regard_lab.report import performance_figures
from regard_lab.report.dvc_files import metrics, plot
from regard_lab.report.figures import Maker, Results, house_style, svg
from regard_lab.report.formats import as_csv, as_markdown, as_tex
from regard_lab.report.performance import Performance, performance
from regard_lab.report.records import anchor, runs
from regard_lab.report.view import SHOWN, Fingerprint, PaperView, TableView, paper_view

MANIFEST = "files.json"
ASSETS = Path(__file__).parent / "assets"
FORMATS: dict[str, Callable[[TableView], str]] = {"csv": as_csv, "md": as_markdown, "tex": as_tex}
Files = dict[str, bytes]


@dataclass(frozen=True)
class Drawn:
    """A figure on a page; `path` is `None` if there is nothing to draw yet."""

    name: str
    caption: str
    path: str | None
    script: str
    sources: list[str]
    quick: bool
    stale: bool


def read_results(paper: Paper, root: Path) -> dict[tuple[str, Scale], Result]:
    """The results of a paper's tables; an incomplete file is a `UserError`."""
    results: dict[tuple[str, Scale], Result] = {}
    for table in paper.tables:
        for scale in SHOWN:
            path = result_path(root, paper.name, table, scale)
            if path.exists():
                result = read_result(path)
                if (result.paper, result.table, result.scale) != (paper.name, table, scale):
                    raise UserError(
                        f"{path} says it is {result.paper}/{result.table} at scale {result.scale}; delete it and run again"
                    )
                results[table, scale] = result
    return results


def render(root: Path, fingerprint_of: Fingerprint) -> Files:
    """Every file of the report, by its path below `reports/`. Nothing is written.

    Args:
        root: The folder of the repository.
        fingerprint_of: What a result's fingerprint would be now, by paper, table and scale; another one makes the result stale.

    Raises:
        UserError: A paper, a table or a result that cannot be read.
    """
    all_papers = papers(root)
    if not all_papers:
        raise UserError(f"no projects/*/paper.yaml below {root.resolve()}; run this at the root of the repository")
    pages = _environment()
    measured = performance(root)
    pages.globals["has_performance"] = measured is not None
    files: Files = {f"assets/{path.name}": path.read_bytes() for path in sorted(ASSETS.iterdir())}
    views: list[PaperView] = []
    for paper in all_papers:
        results = read_results(paper, root)
        view = paper_view(paper, results, fingerprint_of)
        views.append(view)
        figures = _draw(view, list(results.values()), root, files)
        context: dict[str, Any] = {"view": view, "figures": figures, "formats": list(FORMATS), "anchor": anchor}
        context |= {"hours": hours.page_rows(paper.name, root), "rates": hours.rates()}
        files[f"{paper.name}.html"] = _page(pages, "paper.html", papers=all_papers, **context)
        for table in view.tables:
            for ending, write in FORMATS.items():
                files[f"tables/{table.slug}.{ending}"] = write(table).encode()
            if table.results:
                listed = [(scale, runs(table.results[scale])) for scale in SHOWN if scale in table.results]
                files[f"records/{table.slug}.html"] = _page(
                    pages, "records.html", papers=all_papers, base="../", view=view, table=table, listed=listed
                )
            if (bars := plot(view, table)) is not None:
                files[f"plots/{table.slug}.csv"] = bars.encode()
    files["metrics.json"] = metrics(views).encode()
    files["index.html"] = _page(pages, "index.html", papers=all_papers, views=views, words=WORDS)
    files["data.html"] = _page(
        pages, "data.html", papers=all_papers, cards=[data.card(name) for name in data.names()], uses=_uses(views)
    )
    if measured is not None:
        drawn = _draw_performance(measured, files)
        files["performance.html"] = _page(pages, "performance.html", papers=all_papers, page=measured, drawn=drawn)
    return files


def publish(files: Files, folder: Path) -> tuple[int, int]:
    """Bring `folder` to these files and return how many were written and removed. Files that the report did not write are left alone."""
    before = _written_before(folder)
    listed = sorted(files)
    if before != listed:  # first a list that names the old files and the new ones, so that a crash leaves no orphan
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
    environment.filters["slug"] = lambda word: re.sub(r"[^a-z]+", "-", word.lower())
    return environment


def _page(environment: jinja2.Environment, template: str, base: str = "", **context: Any) -> bytes:
    return (environment.get_template(template).render(base=base, here=template, **context) + "\n").encode()


def _draw(view: PaperView, results: list[Result], root: Path, files: Files) -> list[Drawn]:
    """Draw a paper's figures into `files`; each knows the results it asked for."""
    paper = view.paper
    stale = {(table.name, scale) for table in view.tables for scale in table.stale}
    script = figures_script(root, paper.name)
    if script is None:
        return []
    drawn = []
    for name, make in _makers(script).items():
        own = Results(results)
        with house_style():
            figure = make(own)
        path = f"figures/{paper.name}-{name}.svg" if figure is not None else None
        if figure is not None and path is not None:
            files[path] = svg(figure)
        caption = " ".join((make.__doc__ or name.replace("_", " ")).split())
        sources = [result_path(Path(), one.paper, one.table, one.scale).as_posix() for one in own.used]
        drawn.append(
            Drawn(
                name=name,
                caption=caption,
                path=path,
                script=_source_of(make, script).relative_to(root.resolve()).as_posix(),
                sources=sources,
                quick=any(one.scale == "quick" for one in own.used),
                stale=any((one.table, one.scale) in stale for one in own.used),
            )
        )
    return drawn


def _draw_performance(measured: Performance, files: Files) -> dict[str, list[dict[str, str]]]:
    """Draw the performance page's figures into `files`; name, path and caption of each, by machine."""
    drawn: dict[str, list[dict[str, str]]] = {}
    for machine in measured.machines:
        own = drawn.setdefault(machine.anchor, [])
        for name, (figure, caption) in performance_figures.figures(machine).items():
            path = f"figures/{name}.svg"
            files[path] = svg(figure)
            own.append({"name": name, "path": path, "caption": caption})
    return drawn


def _source_of(make: Maker, script: Path) -> Path:
    """The file beside or below `script` that a figure's function was written in, else `script`."""
    written = Path(inspect.getsourcefile(inspect.unwrap(make)) or script).resolve()
    return written if script.parent.resolve() in written.parents and written.exists() else script.resolve()


def _makers(script: Path) -> Mapping[str, Maker]:
    """The `FIGURES` of a project, read from its file: the lab imports no project."""
    specification = importlib.util.spec_from_file_location(f"figures_of_{script.parent.name}", script)
    if specification is None or specification.loader is None:
        raise UserError(f"{script} cannot be imported")
    module: ModuleType = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    makers = getattr(module, "FIGURES", None)
    if not isinstance(makers, dict):
        raise UserError(f"{script} has no dictionary FIGURES")
    return makers


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
