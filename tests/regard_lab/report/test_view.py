import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

from regard_lab.experiment.results import DataUse, write_result
from regard_lab.report.site import publish, render
from tests.regard_lab.report.sample_site import LAPTOP, current, lines, page, words


def test_every_line_has_its_cells(root: Path) -> None:
    soup = page(root)
    for table in soup.select("table.results"):
        heads = len(table.select("thead th"))
        rows = table.select("tbody tr")
        assert rows
        assert all(len(line.select("th, td")) == heads for line in rows)
    found = lines(soup)
    assert list(found) == ["old", "new", "missing", "ours"]
    heads = [words(head) for head in soup.select("#scores thead th")]
    assert heads == [
        "attention",
        "rounds",
        "scale",
        "accuracy %",
        "the paper's %",
        "memory MiB",
        "the paper's MiB",
        "status",
        "seeds",
    ]
    accuracy, memory = found["old"].select("td.metric")
    assert words(accuracy) == "70.5 ± 0.5"
    assert accuracy["data-sort"] == "70.5"
    assert words(memory) == "10 ± 0"
    said = [words(cell) for cell in found["old"].select("td.published")]
    assert said == ["70.0 not compared", "10 not compared"]
    accuracy, memory = found["new"].select("td.metric")
    assert words(accuracy) == "73.6 ± 0.6 ★ +3.1 [2.9, 3.3]"
    assert words(memory) == "5 ± 0 −5"
    assert [words(cell) for cell in found["new"].select("td.published")] == ["≈ 72 not compared", "—"]
    assert words(found["ours"].select_one("td.factor")) == "2"
    assert "data: imdb ◇ stands in for the real reviews" in words(soup.select_one("#scores"))


def test_a_difference_is_given_where_it_means_something(root: Path) -> None:
    """On the paper's own data, and not in a column whose file says why not; one note says it for the whole table."""
    notes = words(page(root).select_one("#scores .notes"))
    assert "The paper's numbers are known for 3 of 6 cells." in notes
    assert "Not compared with the paper's: other data (imdb, stands in for the real reviews)." in notes
    own = replace(LAPTOP, data=[DataUse("imdb", None, "0")])
    write_result(root / "results" / "laptop" / "sample" / "scores.json", own)
    assert [words(cell) for cell in lines(page(root))["old"].select("td.published")] == ["70.0 +0.5 points", "10 equal"]
    file = root / "projects" / "sample" / "tables" / "scores.yaml"
    file.write_text(file.read_text().replace("published:", "not_compared: {memory: hardware}\npublished:"))
    soup = page(root)
    assert [words(cell) for cell in lines(soup)["old"].select("td.published")] == [
        "70.0 +0.5 points",
        "10 not compared",
    ]
    assert "Not compared with the paper's (memory): hardware." in words(soup.select_one("#scores .notes"))


def test_what_is_exact_counts_once(root: Path) -> None:
    file = root / "projects" / "sample" / "tables" / "scores.yaml"
    file.write_text(file.read_text().replace("unit: MiB}", "unit: MiB, exact: true}"))
    _, memory = lines(page(root))["old"].select("td.metric")
    assert words(memory) == "10"


def test_what_others_measured_is_told(root: Path) -> None:
    file = root / "projects" / "sample" / "tables" / "scores.yaml"
    one = "{row: {attention: new}, by: A third party, values: {accuracy: {mean: 71, sd: 0.5, runs: 5}}}"
    file.write_text(file.read_text().replace("published:", f"references: [{one}]\npublished:"))
    assert "A third party: new, accuracy 71.00 ± 0.50 % (5 runs)." in words(page(root).select_one("#scores .notes"))


def test_the_row_that_others_are_compared_with_is_marked(root: Path) -> None:
    rows = page(root).select('#scores tbody[data-scale="laptop"] tr.baseline')
    assert [words(row.select_one("th")) for row in rows] == ["old baseline"]


def test_what_did_not_run_says_why(root: Path) -> None:
    found = lines(page(root))
    assert words(found["missing"].select_one("td.run")) == "not run this result has no such row"
    assert words(found["ours"].select_one("td.run")) == "failed seed 0: <b>broken</b>"
    assert words(found["missing"].select_one("td.metric")) == "—"
    later = page(root).select("#later tbody tr")
    assert [words(line.select_one("td.run")) for line in later] == ["not run no result at any scale"]
    assert words(later[0].select_one("td.metric")) == "—"
    assert words(later[0].select_one("td.published")) == "2"
    assert not later[0].select("[data-sort='0.0']")


def test_quick_is_labelled_and_never_compared(root: Path) -> None:
    (line,) = [line for name, line in lines(page(root), scale="quick").items() if name == "old"]
    assert "quick" in line["class"]
    assert "quick: mechanics, not evidence" in words(line)
    assert words(line.select_one("td.metric")) == "50.0"
    assert words(line.select_one("td.published")) == "70.0 not compared"
    assert not page(root).select('tbody[data-scale="laptop"] tr.quick')


def test_claims_show_verdict_and_statistic(root: Path) -> None:
    soup = page(root)
    better, fast = (words(soup.select_one(f"#claim-{name}")) for name in ("better", "fast"))
    assert better.startswith("✓ holds New is better.")
    assert (
        "Accuracy of new is 3.10 points higher than that of old, 95 % interval of the difference [2.85, 3.35] points"
        in better
    )
    assert "data: imdb, stands in for the real reviews" in better
    assert fast.startswith("– not run Old is fast.")
    assert words(soup.select_one("ul.counts")) == "experiment 1 ✓ holds timing 1 – not run"
    group = words(soup.select_one("#group-better summary"))
    assert group.startswith("✓ holds New is better than old. experiment.")
    index = page(root, "index.html")
    overview = words(index.select_one("table.overview tbody"))
    assert (
        overview == "A sample & <more> Nobody et al. 2024 laptop: 1 of 2 tables quick: 1 of 2 tables none "
        "1 ✓ holds 1 – not run — — — 2 in 2"
    )
    assert "scores Scores | of_all not run 2 of 4 rows 1 of 3 rows" in words(index.select_one("details.card table"))


def test_each_table_has_its_command_and_its_budget(root: Path) -> None:
    table = page(root).select_one("#scores")
    assert table is not None
    assert words(table.select_one(".command code")) == "make reproduce TABLE=sample/scores SCALE=laptop"
    assert "laptop 3 rows × 0 to 3 seeds, 6 runs" in words(table) or "3 rows × 3 seeds, 6 runs" in words(table)


def test_the_ledger_has_every_claim_with_what_it_can_be_filtered_by(root: Path) -> None:
    soup = page(root, "claims.html")
    better = soup.select_one("#sample-better")
    assert better is not None
    assert (better["data-paper"], better["data-kind"], better["data-verdict"], better["data-scale"]) == (
        "sample",
        "experiment",
        "holds",
        "laptop",
    )
    assert "make reproduce TABLE=sample/scores SCALE=laptop" in words(better)
    links = [str(link["href"]) for link in better.select("a")]
    assert links[:2] == ["sample.html#claim-better", "#sample-better"]
    assert "sources/projects/sample/tables/scores.yaml.html" in links
    assert any(link.startswith("records/sample-scores.html#laptop-") for link in links)
    assert len(soup.select("#ledger tbody tr")) == 2


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
    assert "Published numbers; nothing to run." in words(soup.select_one("#later"))
    assert words(soup.select_one("#later td.published")) == "2"
    assert not soup.select("#later td.metric")
    assert "Table later" not in words(soup.select_one(".gaps"))
    assert "later Later published numbers" in words(page(root, "index.html").select_one("details.card table"))
    assert "not run" not in words(soup.select_one("#later"))


@pytest.mark.parametrize("now", ["f2", None])
def test_stale_results_are_marked(root: Path, now: str | None) -> None:
    assert not page(root).select(".stale")
    soup = page(root, fingerprint=lambda *_: now)
    assert lines(soup)["old"].select(".stale")
    assert soup.select("#claim-better .stale")
    assert soup.select("#figure-scores .stale")
    assert "2 of 4 rows, stale" in words(soup.select_one("#scores .states"))
    assert page(root, "claims.html", lambda *_: now).select("#sample-better .stale")
    assert page(root, "records/sample-scores.html", lambda *_: now).select(".stale")


def test_figures_link_to_their_script_and_their_result(root: Path) -> None:
    soup = page(root)
    scores = soup.select_one("#figure-scores")
    assert scores is not None
    links = [str(link["href"]) for link in scores.select("a")]
    assert links == ["figures/sample-scores.svg", "sources/projects/sample/figures.py.html"]
    assert "results/laptop/sample/scores.json" in words(scores)
    drawing = scores.select_one("object")
    assert drawing is not None
    assert str(drawing["aria-label"]).startswith("Chart, laptop scale")
    assert "Scores <by> mechanism." in words(scores)
    assert words(soup.select_one("#figure-later .empty")) == "not run"


def test_every_link_resolves_and_nothing_comes_from_the_network(root: Path) -> None:
    publish(render(root, current), root / "reports")
    folder = (root / "reports").resolve()
    pages = sorted(folder.rglob("*.html"))
    assert len(pages) == 8
    ids = {path: {tag["id"] for tag in BeautifulSoup(path.read_text(), "html.parser").select("[id]")} for path in pages}
    for path in pages:
        soup = BeautifulSoup(path.read_text(), "html.parser")
        assert len(soup.select("[id]")) == len(ids[path]), "an id stands twice"
        for tag in soup.select("[href], [src], object[data]"):
            target = urlsplit(str(tag.get("href") or tag.get("src") or tag.get("data")))
            if target.scheme in ("http", "https") and tag.name == "a":  # to the paper, its code, the home of its data
                continue
            assert target.scheme in ("", "data"), f"{path.name} loads {target.geturl()}"
            if target.scheme or target.netloc:
                continue
            file = (path.parent / unquote(target.path)).resolve() if target.path else path
            assert file.exists(), f"{path.name} links {target.geturl()}"
            assert folder in file.parents, f"{path.name} links {target.geturl()}, outside the report"
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
