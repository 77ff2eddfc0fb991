"""A project of a few lines, written into a temporary repository: what the lab does to a project is tested on it."""

import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import projects
from regard_lab.reproduce import reproduce_table

FILES = {
    "experiments/points.yaml": """
        run: projects.toy.run:run
        data_sets: {}
        data: {name: points, source: package}
        slope: 2.0
        fail: false
        epochs: 9
        scales:
          quick: {epochs: 1}
          laptop: {epochs: 3}
    """,
    "tables/lines.yaml": """
        title: Lines
        source: none
        experiment: points
        seeds: {quick: 2, laptop: 4, paper: 4}
        rows: {slope: [1.0, 3.0]}
        sets: {slope: slope}
        columns:
          height: {label: height, unit: m}
        curves: {climb: m}
    """,
    "paper.yaml": """
        title: Toy
        authors: [Nobody]
        year: 2024
        arxiv: "0000.00000"
        summary: A toy.
        tables: [lines]
    """,
    "config.py": """
        from dataclasses import dataclass
        from regard_lab.experiment.project import Project

        @dataclass
        class Data:
            name: str
            source: str

        @dataclass
        class Config:
            data: Data
            slope: float
            fail: bool
            epochs: int
            seed: int
            scale: str

        def check(config):
            if config.slope == 0:
                raise ValueError(f"slope must not be 0, got {config.slope}")

        PROJECT = Project(name="toy", schema=Config, check="projects.toy.config:check", modules=lambda config: [])
    """,
    "run.py": '''
        """Docstring."""
        from pathlib import Path
        from regard_lab.experiment.run_result import RunResult

        def run(config, folder):
            # A comment.
            calls = Path.cwd() / "calls"
            calls.write_text(calls.read_text() + "." if calls.exists() else ".")
            if config.fail:
                raise ArithmeticError("no height")
            height = config.slope * (1 + config.seed)
            return RunResult({"height": height}, {"climb": [height] * config.epochs})
    ''',
}


def write_toy(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the project below `root`, make it importable as `projects.toy`, and go there."""
    for name, content in FILES.items():
        path = root / "projects" / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content).lstrip())
    monkeypatch.setattr(projects, "__path__", [*projects.__path__, str(root / "projects")])
    monkeypatch.chdir(root)
    forget()
    return root


def forget() -> None:
    """Let the next import read the project's files anew."""
    for module in [name for name in sys.modules if name.startswith("projects.toy")]:
        del sys.modules[module]


def calls(root: Path) -> int:
    """How often the project's `run` has really run."""
    return len((root / "calls").read_text()) if (root / "calls").exists() else 0


def reproduce(root: Path, scale: str = "quick") -> dict[str, Any]:
    """Bring the project's table up to date in this process: the summary."""
    return reproduce_table("toy", "lines", scale, root, where="inline")
