import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

from regard_lab.report.site import publish, render
from tests.regard_lab.report.sample_site import current, lines, page, words


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
    assert words(soup.select_one("ul.counts")) == "1 ✓ holds 0 ✗ fails 0 ? undecided 0 ⊘ gated 1 – not run"
    index = page(root, "index.html")
    assert words(index.select_one("ul.counts")) == "1 ✓ holds 0 ✗ fails 0 ? undecided 0 ⊘ gated 1 – not run"
    assert "scores Scores | of_all not run 2 of 4 rows 1 of 3 rows" in words(index.select_one("table"))


def test_what_is_not_reproduced(root: Path) -> None:
    gaps = words(page(root).select_one(".gaps"))
    assert "Table later: Later not run at a scale that counts as evidence" in gaps
    assert "Table scores, ours, rounds 2 at scale laptop failed: seed 0: <b>broken</b>" in gaps
    assert "Table 9 no data" in gaps


def without_the_group_of_later(root: Path) -> None:
    paper = root / "projects" / "sample" / "paper.yaml"
    paper.write_text(paper.read_text().replace("  fast: {says: Old is fast., ours: true}\n", ""))


def test_a_table_without_rows_lacks_nothing(root: Path) -> None:
    later = root / "projects" / "sample" / "tables" / "later.yaml"
    later.write_text(later.read_text().split("published:")[0])
    without_the_group_of_later(root)
    soup = page(root)
    assert soup.select("#later")
    assert not soup.select("#later tbody tr")
    assert "Table later" not in words(soup.select_one(".gaps"))


def test_an_input_is_shown_as_published_and_never_as_missing(root: Path) -> None:
    later = root / "projects" / "sample" / "tables" / "later.yaml"
    later.write_text("input: true\n" + later.read_text().split("claims:")[0])
    without_the_group_of_later(root)
    soup = page(root)
    assert "Published numbers from which other tables are computed; nothing to run." in words(soup.select_one("#later"))
    assert words(soup.select_one("#later tbody td.run")) == "— no data input"
    assert words(soup.select_one("#later td.metric")) == "paper 2"
    assert "Table later" not in words(soup.select_one(".gaps"))
    assert "later Later published numbers" in words(page(root, "index.html").select_one("table"))
    assert "not run" not in words(soup.select_one("#later"))


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
