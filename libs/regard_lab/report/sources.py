"""Pages for the files that a page links to (tables, experiments, code), as the report may be published alone."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from markdown_it import MarkdownIt

from regard_lab.experiment.table_file import read_table

TITLE = re.compile(r"^# +(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Origin:
    """Where a table comes from: paths below the root of its own file, of its experiments, and of the module that runs its cells."""

    table: str
    experiments: list[str]
    code: str | None


def origin(root: Path, paper: str, table: str) -> Origin:
    """The files behind a table, as far as they exist."""
    project = root / "projects" / paper
    file = read_table(project, table)
    experiments: list[str] = []
    code = None
    if file.runs is not None:
        for scale in file.runs.rows:
            experiments += [name for name in file.experiments(scale) if name not in experiments]
        reference = file.spec(project, "laptop").run.partition(":")[0].replace(".", "/")
        code = next(
            (path for path in (f"{reference}.py", f"{reference}/__init__.py") if (root / path).is_file()),
            None,
        )
    paths = [f"projects/{paper}/experiments/{name}.yaml" for name in experiments]
    return Origin(f"projects/{paper}/tables/{table}.yaml", [path for path in paths if (root / path).is_file()], code)


def page_of(path: str) -> str:
    """The page of a file, below the report."""
    return f"sources/{path}.html"


def base_of(page: str) -> str:
    """The path from a page back to the folder of the report: `../` for each folder that it is in."""
    return "../" * (len(PurePosixPath(page).parts) - 1)


def texts(root: Path, paths: Iterable[str]) -> dict[str, list[str]]:
    """The lines of each file, by its path."""
    return {path: (root / path).read_text(encoding="utf-8").splitlines() for path in sorted(set(paths))}


def markdown(text: str) -> tuple[str, str]:
    """A Markdown file as its title and HTML; links to other files of the repository become plain text, as they would lead out of the report."""
    title = TITLE.search(text)
    html = str(MarkdownIt("commonmark").enable("table").render(TITLE.sub("", text, count=1)))
    html = re.sub(r'<a href="(?!https?://|#)[^"]*">(.*?)</a>', r"\1", html, flags=re.DOTALL)
    return (title[1] if title else ""), _anchored(html)


def _anchored(html: str) -> str:
    """Headings with an id made of their words."""

    def with_id(found: re.Match[str]) -> str:
        name = re.sub(r"[^a-z0-9]+", "-", re.sub(r"<[^>]+>", "", found[2]).lower()).strip("-")
        return f'<h{found[1]} id="{name}">{found[2]}</h{found[1]}>'

    return re.sub(r"<h([2-6])>(.*?)</h\1>", with_id, html)
