"""A paper with two tables, two results and a claim, and how a test reads the pages that the report makes of them."""

from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag

from regard_lab.report.site import render
from tests.regard_lab.samples import result, row

PAPER = """
title: A sample & <more>
authors: [A. Nobody, B. Else]
year: 2024
arxiv: "0000.00001"
summary: One line.
tables: []
other_tables: [scores, later]
groups:
  better: {says: New is better than old.}
  fast: {says: Old is fast., ours: true}
not_reproduced: [{what: Table 9, why: no data}]
"""
TABLES = {
    "scores": """
title: Scores | of_all
source: table 1
note: A note on scores.
columns:
  accuracy: {label: accuracy, unit: "%", digits: 1}
  memory: {label: memory, unit: MiB}
published:
  - {row: {attention: old}, values: {accuracy: 70, memory: 10}, sources: {accuracy: a reader}}
  - {row: {attention: new}, values: {accuracy: 72}, approximate: [accuracy]}
  - {row: {attention: missing}, values: {}}
claims:
  - {id: better, kind: experiment, group: better, says: New is better., source: abstract, check: better, metric: accuracy,
     row: {attention: new}, against: {attention: old}}
""",
    "later": """
title: Later
source: table 2
columns: {speed: {label: speed, unit: ×}}
published: [{row: {attention: old, length: 4}, values: {speed: 2}}]
claims:
  - {id: fast, kind: timing, group: fast, says: Old is fast., source: section 2, check: bound, metric: speed,
     row: {attention: old, length: 4}, at_least: 1}
""",
}
FIGURES = '''
from regard_lab.report.figures import seed_dots

def scores(results):
    """Scores <by> mechanism."""
    return seed_dots(results.best("scores"), "accuracy", "accuracy")

def later(results):
    """Speed."""
    return seed_dots(results.best("later"), "speed", "speed")

FIGURES = {"scores": scores, "later": later}
'''
LAPTOP = result(
    row(
        {"attention": "old"},
        {"accuracy": [70.0, 70.5, 71.0], "memory": [10.0] * 3, "extra": [1.0] * 3},
        units={"memory": "MiB"},
    ),
    row({"attention": "new"}, {"accuracy": [73.0, 73.6, 74.2], "memory": [5.0] * 3}, units={"memory": "MiB"}),
    row({"attention": "ours", "rounds": 2}, {}, status="failed", reason="seed 0: <b>broken</b>"),
    stands_in_for="the real reviews",
)
QUICK = result(row({"attention": "old"}, {"accuracy": [50.0], "memory": [9.0]}, units={"memory": "MiB"}), scale="quick")


def current(paper: str, table: str, scale: str) -> str | None:
    return "f1"


def page(root: Path, name: str = "sample.html", fingerprint: Any = current) -> BeautifulSoup:
    return BeautifulSoup(render(root, fingerprint)[name], "html.parser")


def lines(soup: BeautifulSoup, table: str = "scores", scale: str = "laptop") -> dict[str, Tag]:
    found = soup.select(f'#{table} tbody[data-scale="{scale}"] tr')
    return {words(line.select_one("th")).removesuffix(" baseline"): line for line in found}


def words(tag: Tag | None) -> str:
    assert tag is not None
    return " ".join(tag.get_text(" ").split())


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
