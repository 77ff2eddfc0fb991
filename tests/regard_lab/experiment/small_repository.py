"""A repository of a library and a project of a few definitions each: what a fingerprint sees is tested on it."""

from pathlib import Path

from regard_lab.experiment.fingerprint import code_fingerprint
from tests.editing import change

A = '''"""Docstring."""
import math
from dataclasses import dataclass
from typing import cast

from regard.tools import FACTORS, checked, scaled

FIRST, SECOND = 1, 2
TABLE = {"a": 1}
TABLE["b"] = 2


@dataclass
class Settings:
    """Docstring."""
    width: int = 3


class Layer:
    """Docstring."""
    unused = 5

    def forward(self, x: float) -> float:
        """Docstring."""
        # comment
        total = 0.0
        for part in [part * 2 for part in range(3)]:
            total += part
        if total < 0:
            raise ValueError(f"below zero, got {total}")
        return cast(float, total + scaled(x))

    def cost(self):
        return 7


def run(config, folder):
    layer = Layer()
    return layer.forward(math.sqrt(FIRST)) + TABLE["a"] * Settings().width


def other():
    return SECOND
'''
TOOLS = """FACTORS = (2, 3)


def checked(x):
    assert x >= 0, "below zero"
    return x


def scaled(x):
    return checked(x) * FACTORS[0]


def shown(x):
    return str(x)
"""
RUN = ["projects.a:run"]
PROJECT, LIBRARY = "projects/a.py", "libs/regard/tools.py"


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def differs(root: Path, *edits: tuple[str, str, str], roots: list[str] = RUN) -> bool:
    before = code_fingerprint(roots, root)
    for file, old, new in edits:
        change(root / file, old, new)
    return code_fingerprint(roots, root) != before


def write_repository(root: Path) -> Path:
    """Write the repository below `root`."""
    write(
        root,
        {"libs/regard/__init__.py": "", "libs/regard/tools.py": TOOLS, "projects/__init__.py": "", "projects/a.py": A},
    )
    return root
