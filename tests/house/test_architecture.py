"""docs/architecture.md draws the folders that there are, each with a line."""

import re
import subprocess
from pathlib import Path

from tests.paths import ROOT

DRAWN_WHOLE = ("libs", "projects", "pipelines")  # of the other folders the page has the top alone


def drawn() -> dict[str, str]:
    """The folders of the page's tree, each with its line."""
    tree = (ROOT / "docs" / "architecture.md").read_text().split("```")[1]
    folders: dict[str, str] = {}
    above: list[str] = []
    for line in tree.strip("\n").splitlines():
        indent, name, words = re.fullmatch(r"( *)(\S+)/\s+(\S.*)", line).groups()
        above = [*above[: len(indent) // 2], name]
        folders["/".join(above)] = words
    return folders


def test_the_tree_is_that_of_the_repository():
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    folders: set[str] = set()
    for file in files:
        parts = Path(file).parts[:-1]
        deep = len(parts) if parts[:1] and parts[0] in DRAWN_WHOLE else 1
        folders |= {"/".join(parts[:end]) for end in range(1, deep + 1) if len(parts) >= end}
    folders = {folder for folder in folders if not folder.startswith(".")}
    assert set(drawn()) | {"libs"} == folders


def test_no_file_points_out_of_the_repository():
    """A link to somebody's own data would take the place of `data/` in every clone."""
    listed = subprocess.run(["git", "ls-files", "-s"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert [line for line in listed.splitlines() if line.startswith("120000")] == []
