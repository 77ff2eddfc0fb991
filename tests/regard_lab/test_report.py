import csv
import io
import re
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup, Tag

from regard_lab.errors import UserError
from regard_lab.report.records import flat
from regard_lab.report.site import publish, render
from regard_lab.results import Result, result_path, write_result
from tests.regard_lab.samples import result, row

PAPER = """
title: A sample & <more>
authors: [A. Nobody, B. Else]
year: 2024
arxiv: "0000.00001"
summary: One line.
tables:
  scores:
    title: Scores | of_all
    source: table 1
    note: A note on scores.
    columns:
      accuracy: {label: accuracy, unit: "%", digits: 1}
      memory: {label: memory, unit: MiB}
    rows:
      - {key: {attention: old}, values: {accuracy: 70, memory: 10}, sources: {accuracy: a reader}}
      - {key: {attention: new}, values: {accuracy: 72}, approximate: [accuracy]}
      - {key: {attention: missing}, values: {}}
  later:
    title: Later
    source: table 2
    columns: {speed: {label: speed, unit: ×}}
    rows: [{key: {attention: old, length: 4}, values: {speed: 2}}]
not_reproduced: [{what: Table 9, why: no data}]
"""
CLAIMS = """
- {id: better, says: New is better., source: abstract, check: better, table: scores, metric: accuracy,
   row: {attention: new}, against: {attention: old}}
- {id: fast, says: Old is fast., source: section 2, check: bound, table: later, metric: speed, row: {attention: old, length: 4}, at_least: 1}
"""
FIGURES = '''
from regard_lab.figures import seed_dots

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


@pytest.fixture
def root(tmp_path: Path) -> Path:
    project = tmp_path / "projects" / "sample"
    project.mkdir(parents=True)
    (project / "paper.yaml").write_text(PAPER)
    (project / "claims.yaml").write_text(CLAIMS)
    (project / "figures.py").write_text(FIGURES)
    for one in (LAPTOP, QUICK):
        write_result(result_path(tmp_path, one.paper, one.table, one.scale), one)
    return tmp_path


def page(root: Path, name: str = "sample.html", fingerprint: Any = current) -> BeautifulSoup:
    return BeautifulSoup(render(root, fingerprint)[name], "html.parser")


def lines(soup: BeautifulSoup, table: str = "scores", scale: str = "laptop") -> dict[str, Tag]:
    found = soup.select(f'#{table} tbody[data-scale="{scale}"] tr')
    return {words(line.select_one("th")): line for line in found}


def words(tag: Tag | None) -> str:
    assert tag is not None
    return " ".join(tag.get_text(" ").split())


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_line_has_its_cells(root: Path) -> None:
    soup = page(root)
    for table in soup.select("table.results"):
        heads = len(table.select("thead th"))
        rows = table.select("tbody tr")
        assert rows
        assert all(len(line.select("th, td")) == heads for line in rows)
    found = lines(soup)
    assert list(found) == ["old", "new", "missing", "ours rounds 2"]
    accuracy, memory = found["old"].select("td.metric")
    assert words(accuracy) == "70.5 ± 0.5 (3) paper 70.0 +0.5 points on other data"
    assert accuracy["data-sort"] == "70.5"
    assert words(memory) == "10 ± 0 (3) paper 10 equal on other data"
    accuracy, memory = found["new"].select("td.metric")
    assert words(accuracy) == "73.6 ± 0.6 (3) paper ≈ 72 +1.6 points on other data"
    assert words(memory) == "5 ± 0 (3) paper not known"
    assert words(found["old"].select_one("td.run")) == "laptop imdb stands in for the real reviews ok"


def test_what_did_not_run_says_why(root: Path) -> None:
    found = lines(page(root))
    assert words(found["missing"].select_one("td.run")).endswith("not run this result has no such row")
    assert words(found["ours rounds 2"].select_one("td.run")).endswith("failed seed 0: <b>broken</b>")
    assert words(found["missing"].select_one("td.metric")) == "— paper not known"
    later = page(root).select("#later tbody tr")
    assert [words(line.select_one("td.run")) for line in later] == ["— no data not run no result at any scale"]
    assert words(later[0].select_one("td.metric")) == "— paper 2"
    assert not later[0].select("[data-sort='0']")


def test_quick_is_labelled_and_never_compared(root: Path) -> None:
    (line,) = [line for name, line in lines(page(root), scale="quick").items() if name == "old"]
    assert "quick" in line["class"]
    assert words(line.select_one("td.run")).startswith("quick: mechanics, not evidence")
    assert words(line.select_one("td.metric")) == "50.0 (1) paper 70.0 not compared"
    assert not page(root).select('tbody[data-scale="laptop"] tr.quick')


def test_claims_show_verdict_and_statistic(root: Path) -> None:
    soup = page(root)
    better, fast = (words(soup.select_one(f"#claim-{name}")) for name in ("better", "fast"))
    assert better.startswith("✓ holds New is better.")
    assert "Gain of new over old +3.10 points, 95 % interval [2.85, 3.35] points" in better
    assert "data: imdb, stands in for the real reviews" in better
    assert fast.startswith("– not run Old is fast.")
    assert words(soup.select_one("ul.counts")) == "1 ✓ holds 0 ✗ fails 0 ? undecided 1 – not run"
    index = page(root, "index.html")
    assert words(index.select_one("ul.counts")) == "1 ✓ holds 0 ✗ fails 0 ? undecided 1 – not run"
    assert "scores Scores | of_all not run 2 of 4 rows 1 of 3 rows" in words(index.select_one("table"))


def test_what_is_not_reproduced(root: Path) -> None:
    gaps = words(page(root).select_one(".gaps"))
    assert "Table later: Later not run at a scale that counts as evidence" in gaps
    assert "Table scores, ours, rounds 2 at scale laptop failed: seed 0: <b>broken</b>" in gaps
    assert "Table 9 no data" in gaps


@pytest.mark.parametrize("now", ["f2", None])
def test_stale_results_are_marked(root: Path, now: str | None) -> None:
    assert not page(root).select(".stale")
    soup = page(root, fingerprint=lambda *_: now)
    assert lines(soup)["old"].select(".stale")
    assert soup.select("#claim-better .stale")
    assert soup.select("#figure-scores .stale")
    assert "2 of 4 rows, stale" in words(soup.select_one("#scores .states"))
    assert page(root, "index.html", lambda *_: now).select(".glance .stale")
    assert page(root, "records/sample-scores.html", lambda *_: now).select(".stale")


def test_run_records_are_one_click_away(root: Path) -> None:
    link = lines(page(root))["old"].select_one(".status a")
    assert link is not None
    name, fragment = str(link["href"]).split("#")
    soup = page(root, name)
    record = words(soup.find(id=fragment))
    for part in (
        "old-seed0",
        "seed 0",
        "device cpu <one>",
        "wall time (s) 12.5",
        "peak memory (MiB) 321.0",
        "code fingerprint f1",
    ):
        assert part in record
    for part in ("optimiser.rate 0.001", "torch 2.13.0", "accuracy 70.0", "revision none"):
        assert part in record
    assert len(soup.select("article.record")) == 7


def test_a_record_that_is_not_there(root: Path) -> None:
    write_result(result_path(root, "sample", "scores", "laptop"), replace(LAPTOP, records={}))
    assert "The result holds no record of this run." in words(page(root, "records/sample-scores.html"))


def test_flat_records() -> None:
    nested = {"a": {"b": [1, None, True], "c": {}}, "d": 0.5, "e": "", "f": False}
    assert flat(nested) == [("a.b", "1, none, yes"), ("a.c", "none"), ("d", "0.5"), ("e", "none"), ("f", "no")]


def test_figures_link_to_their_script_and_their_result(root: Path) -> None:
    soup = page(root)
    scores = soup.select_one("#figure-scores")
    assert scores is not None
    links = [str(link["href"]) for link in scores.select("a")]
    assert links == [
        "figures/sample-scores.svg",
        "../projects/sample/figures.py",
        "../results/laptop/sample/scores.json",
    ]
    assert "Scores <by> mechanism." in words(scores)
    assert words(soup.select_one("#figure-later .empty")) == "not run"


def test_every_link_resolves_and_nothing_comes_from_the_network(root: Path) -> None:
    publish(render(root, current), root / "reports")
    pages = sorted((root / "reports").rglob("*.html"))
    assert len(pages) == 4
    ids = {path: {tag["id"] for tag in BeautifulSoup(path.read_text(), "html.parser").select("[id]")} for path in pages}
    for path in pages:
        soup = BeautifulSoup(path.read_text(), "html.parser")
        assert len(soup.select("[id]")) == len(ids[path]), "an id stands twice"
        for tag in soup.select("[href], [src]"):
            target = urlsplit(str(tag.get("href") or tag.get("src")))
            assert target.scheme in ("", "data"), f"{path.name} loads or links {target.geturl()}"
            if target.scheme or target.netloc:
                continue
            file = (path.parent / unquote(target.path)).resolve() if target.path else path
            assert file.exists(), f"{path.name} links {target.geturl()}"
            if target.fragment and file.suffix == ".html":
                assert target.fragment in ids[file], f"{path.name} links {target.geturl()}"
    for asset in ("report.css", "report.js"):
        text = (root / "reports" / "assets" / asset).read_text()
        assert not re.search(r"https?:|@import|url\(", text)


def test_data_page_has_every_card(root: Path) -> None:
    soup = page(root, "data.html")
    imdb = words(soup.find(id="imdb"))
    for part in (
        "licence",
        "citation",
        "train 22,500, validation 2,500",
        "sample: scores in place of the real reviews",
    ):
        assert part in imdb
    assert "no table that has been run" in words(soup.find(id="mnist"))


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
    assert float(new["accuracy difference [%]"]) == pytest.approx(1.6)
    assert (new["accuracy n"], new["memory paper [MiB]"], new["memory difference [MiB]"]) == ("3", "not known", "")
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
    assert rows[3][4:] == ["73.6 ± 0.6 (3); paper ≈ 72; +1.6 points", "5 ± 0 (3); paper not known"]
    assert rows[5][3] == "failed: seed 0: &lt;b>broken&lt;/b>"


def test_tex_parses_back(root: Path) -> None:
    text = render(root, current)["tables/sample-scores.tex"].decode()
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    rows = [re.split(r"(?<!\\)&", line.removesuffix(r"\\")) for line in body]
    assert {len(line) for line in rows} == {6}
    assert rows[0][4].strip() == r"accuracy (\%)"
    assert rows[2][4].strip() == r"73.6 $\pm$ 0.6 (3); paper $\approx$ 72; +1.6 points"
    assert r"\begin{tabular}{llllll}" in text
    later = render(root, current)["tables/sample-later.tex"].decode()
    assert r"speed ($\times$)" in later


def test_a_second_run_changes_no_byte(root: Path) -> None:
    folder = root / "reports"
    written, removed = publish(render(root, current), folder)
    assert (written, removed) == (len(snapshot(folder)) - 1, 0)
    before = snapshot(folder)
    assert publish(render(root, current), folder) == (0, 0)
    assert snapshot(folder) == before


def test_only_what_the_report_wrote_is_removed(root: Path) -> None:
    folder = root / "reports"
    publish(render(root, current), folder)
    (folder / "notes.txt").write_text("mine")
    (root / "projects" / "sample" / "figures.py").unlink()
    assert publish(render(root, current), folder)[1] == 1
    assert not (folder / "figures" / "sample-scores.svg").exists()
    assert (folder / "notes.txt").read_text() == "mine"
    assert "figures/sample-scores.svg" not in (folder / "files.json").read_text()


@pytest.mark.parametrize("names", ['["../outside.txt"]', '["/etc/passwd"]', '{"a": 1}', "[1]"])
def test_a_list_that_points_elsewhere_is_not_followed(root: Path, names: str) -> None:
    (root / "reports").mkdir()
    (root / "outside.txt").write_text("mine")
    (root / "reports" / "files.json").write_text(names)
    with pytest.raises(UserError, match="not the report's list of files"):
        publish(render(root, current), root / "reports")
    assert (root / "outside.txt").exists()


def test_a_full_disk_leaves_the_old_page(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "reports"
    publish(render(root, current), folder)
    before = snapshot(folder)
    write_result(result_path(root, "sample", "scores", "quick"), replace(QUICK, rows=[]))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match=r"No space left on device; the old file is intact"):
        publish(render(root, current), folder)
    assert snapshot(folder) == before


def run(root: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["regard_lab.report", "--root", str(root)])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("regard_lab.report", run_name="__main__")
    assert isinstance(end.value.code, int)
    return end.value.code


def test_the_command(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, monkeypatch) == 0
    assert "reports/index.html: 13 files, 13 changed, 0 removed" in capsys.readouterr().out
    soup = BeautifulSoup((root / "reports" / "sample.html").read_text(), "html.parser")
    assert soup.select("#scores .stale"), "a table that the code does not know any more is stale"


def test_a_result_cut_in_half_ends_in_one_sentence(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, monkeypatch) == 0
    before = snapshot(root / "reports")
    path = result_path(root, "sample", "scores", "laptop")
    path.write_bytes(path.read_bytes()[:500])
    capsys.readouterr()
    assert run(root, monkeypatch) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert "scores.json is not complete JSON" in message
    assert snapshot(root / "reports") == before


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (replace(LAPTOP, table="other"), "says it is sample/other at scale laptop"),
        (
            replace(LAPTOP, rows=[row({"attention": "old"}, {"accuracy": [0.7]}, unit="1")]),
            "is in '1', but paper.yaml gives it in '%'",
        ),
        (
            replace(LAPTOP, rows=[row({"attention": "old"}, {"accuracy": [70.0]}, seeds=[0, 1])]),
            "1 values of accuracy for 2 seeds",
        ),
    ],
)
def test_results_that_contradict_are_refused(root: Path, broken: Result, complaint: str) -> None:
    write_result(result_path(root, "sample", "scores", "laptop"), broken)
    with pytest.raises(UserError, match=complaint):
        render(root, current)


def test_a_folder_without_papers(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no projects/\*/paper\.yaml below"):
        render(tmp_path, current)


def test_figures_need_their_dictionary(root: Path) -> None:
    (root / "projects" / "sample" / "figures.py").write_text("")
    with pytest.raises(UserError, match="has no dictionary FIGURES"):
        render(root, current)


def test_the_shipped_papers_render() -> None:
    files = render(Path(__file__).parents[2], current)
    assert "better_attention.html" in files
    assert "tables/better_attention-inference.csv" in files
