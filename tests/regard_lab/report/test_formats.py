import csv
import io
import re
from pathlib import Path

from regard_lab.report.site import render
from tests.regard_lab.report.sample_site import LAPTOP, current


def test_csv_parses_back(root: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(render(root, current)["tables/sample-scores.csv"].decode())))
    assert [(line["attention"], line["rounds"], line["scale"]) for line in rows][:4] == [
        ("old", "", "laptop"),
        ("new", "", "laptop"),
        ("missing", "", "laptop"),
        ("ours", "2", "laptop"),
    ]
    new = rows[1]
    assert float(new["accuracy mean [%]"]) == LAPTOP.rows[1].metrics["accuracy"].mean
    assert (new["accuracy paper [%]"], new["accuracy difference [%]"]) == ("72", "not compared")  # other data
    assert (new["accuracy n"], new["memory paper [MiB]"], new["memory difference [MiB]"]) == ("3", "", "")
    assert new["data"] == "imdb, stands in for the real reviews"
    assert rows[4]["accuracy difference [%]"] == "not compared"
    assert rows[4]["scale"] == "quick: mechanics, not evidence"
    assert rows[3]["status"] == "failed: seed 0: <b>broken</b>"


def test_markdown_parses_back(root: Path) -> None:
    title, _, *table = render(root, current)["tables/sample-scores.md"].decode().splitlines()
    assert title.startswith("**Scores \\| of_all**")
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]
    assert {len(line) for line in rows} == {6}
    assert rows[0] == ["row", "scale", "data", "status", "accuracy (%)", "memory (MiB)"]
    assert rows[3][4:] == ["73.6 ± 0.6 (3); paper ≈ 72; not compared", "5 ± 0 (3)"]
    assert rows[5][3] == "failed: seed 0: &lt;b>broken&lt;/b>"


def test_tex_parses_back(root: Path) -> None:
    text = render(root, current)["tables/sample-scores.tex"].decode()
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    rows = [re.split(r"(?<!\\)&", line.removesuffix(r"\\")) for line in body]
    assert {len(line) for line in rows} == {6}
    assert rows[0][4].strip() == r"accuracy (\%)"
    assert rows[2][4].strip() == r"73.6 $\pm$ 0.6 (3); paper $\approx$ 72; not compared"
    assert r"\begin{tabular}{llllll}" in text
    later = render(root, current)["tables/sample-later.tex"].decode()
    assert r"speed ($\times$)" in later
