"""How a project describes itself to the lab, and how the lab finds it: `projects/<paper>/config.py` holds one
`PROJECT`.

Projects are a layer above the lab, so the lab never imports one by statement; it looks `PROJECT` up by the paper's
name. What needs torch is named as `module:function` and imported on first use: fingerprinting the code must not need to
run it.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regard_lab.common.errors import UserError, nearest
from regard_lab.experiment.table_file import table_names


@dataclass(frozen=True)
class Project:
    """One paper's project.

    Attributes:
        name: The paper's name, which is that of its folder.
        schema: The typed config, a dataclass.
        check: `module:function`; the function takes a config and raises `ValueError` for one that cannot run, before
            any work.
        modules: Gives for a config the modules that a cell reaches only by name, such as its mechanism.
        resolvers: Functions that its configs may call, as `${name:…}`.
    """

    name: str
    schema: type
    check: str
    modules: Callable[[Any], list[str]]
    resolvers: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    def folder(self, root: Path) -> Path:
        """The folder of its code, tables and experiments."""
        return root / "projects" / self.name

    def tables(self, root: Path) -> list[str]:
        """The names of its tables that are run, in the order of `paper.yaml`."""
        return table_names(self.folder(root))


def papers(root: Path) -> list[str]:
    """The papers that have a project below `root`."""
    return sorted(path.parent.name for path in (root / "projects").glob("*/config.py"))


def _where(root: Path) -> str:
    """The end of a message to someone who is not at the root of a repository."""
    above = next((folder for folder in root.resolve().parents if papers(folder)), None)
    return f"; the repository is above: cd {above}" if above else "; run this at the root of the repository"


def find_project(name: str, root: Path) -> Project:
    """The project of a paper; for an unknown name, a `UserError` suggests the nearest."""
    check_root(root)
    known = papers(root)
    if name not in known:
        raise UserError(f"there is no project {name!r}.{nearest(name, known)} There are: {', '.join(known)}")
    return load(f"projects.{name}.config:PROJECT")  # type: ignore[no-any-return]


def check_root(root: Path) -> None:
    """Raises `UserError` where there are no projects, and says where the repository is if it is above."""
    if not papers(root):
        raise UserError(f"there are no projects in {root.resolve()}{_where(root)}")


def check_named(paper: str, table: str, root: Path) -> None:
    """Raises `UserError` for a project or a table that does not exist, with the nearest."""
    known = find_project(paper, root).tables(root)
    if table not in known:
        raise UserError(f"{paper} has no table {table!r}.{nearest(table, known)} It has: {', '.join(known)}")


def figures_script(root: Path, paper: str) -> Path | None:
    """The file that holds a project's `FIGURES`: `figures/__init__.py` or `figures.py`; `None` if it has no figures."""
    folder = root / "projects" / paper
    return next((path for path in (folder / "figures" / "__init__.py", folder / "figures.py") if path.exists()), None)


def load(reference: str) -> Any:
    """The object that `module:name` names."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)
