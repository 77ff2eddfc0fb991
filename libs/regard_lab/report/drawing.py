"""The figures of the papers and of the performance page, drawn into the files of the site."""

import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from regard_lab.common import sounds
from regard_lab.common.errors import UserError
from regard_lab.experiment.project import figures_script
from regard_lab.experiment.results import Result, result_path
from regard_lab.report import hover, performance_figures
from regard_lab.report.figures import Maker, Results, Sounds, house_style, svg
from regard_lab.report.performance import Performance
from regard_lab.report.view import PaperView


@dataclass(frozen=True)
class Drawn:
    """A figure on a page; `path` is `None` if there is nothing to draw yet. `alt` says in words what is drawn; sizes are CSS pixels.

    A figure of sounds has `players` instead, with the label and path of each, and `alt` says what can be heard.
    """

    name: str
    caption: str
    path: str | None
    alt: str
    width: int
    height: int
    script: str
    sources: list[str]
    quick: bool
    stale: bool
    players: tuple[tuple[str, str], ...] = ()


def draw(view: PaperView, results: list[Result], root: Path, files: dict[str, bytes]) -> list[Drawn]:
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
        path, alt, size = None, "", (0, 0)
        players: list[tuple[str, str]] = []
        if isinstance(figure, Sounds):
            alt = figure.said
            for place, (label, sound) in enumerate(figure.players.items()):
                players.append((label, f"sounds/{paper.name}-{name}-{place}.wav"))
                files[players[-1][1]] = sounds.content(sound)
        elif figure is not None:
            path, alt = f"figures/{paper.name}-{name}.svg", hover.describe(figure)
            files[path] = svg(figure)
            size = hover.size(files[path])
        caption = " ".join((make.__doc__ or name.replace("_", " ")).split())
        sources = [result_path(Path(), one.paper, one.table, one.scale).as_posix() for one in own.used]
        drawn.append(
            Drawn(
                name=name,
                caption=caption,
                path=path,
                alt=alt,
                width=size[0],
                height=size[1],
                script=_source_of(make, script).relative_to(root.resolve()).as_posix(),
                sources=sources,
                quick=any(one.scale == "quick" for one in own.used),
                stale=any((one.table, one.scale) in stale for one in own.used),
                players=tuple(players),
            )
        )
    return drawn


def draw_performance(measured: Performance, files: dict[str, bytes]) -> dict[str, list[Drawn]]:
    """Draw the performance page's figures into `files`, by machine."""
    drawn: dict[str, list[Drawn]] = {}
    for machine in measured.machines:
        own = drawn.setdefault(machine.anchor, [])
        for name, (figure, caption) in performance_figures.figures(machine).items():
            path, alt = f"figures/{name}.svg", hover.describe(figure)
            files[path] = svg(figure)
            width, height = hover.size(files[path])
            own.append(Drawn(name, caption, path, alt, width, height, "", [], quick=False, stale=False))
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
