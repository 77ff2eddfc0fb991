"""The performance page from made-up measurements: every number is a row's, and a broken file is one sentence."""

from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag

from regard.bench.table import FOLDER, write
from regard_lab.common.errors import UserError
from regard_lab.report.performance import grid, mebibytes, performance, seconds
from regard_lab.report.site import render
from tests.regard_lab.report.made_up_times import FUSED, LOCAL, measured, row

PAPER = """
title: A paper
authors: [A. B.]
year: 2024
arxiv: "0000.00001"
summary: One.
tables: []
not_reproduced: []
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    project = tmp_path / "projects" / "sample"
    project.mkdir(parents=True)
    (project / "paper.yaml").write_text(PAPER)
    write(tmp_path / FOLDER, measured())
    return tmp_path


def page(root: Path) -> BeautifulSoup:
    return BeautifulSoup(render(root, lambda *_: None)["performance.html"], "html.parser")


def words(tag: Tag | None) -> str:
    assert tag is not None
    return " ".join(tag.get_text(" ").split())


def line(soup: BeautifulSoup, table: str, name: str) -> list[str]:
    (found,) = [each for each in soup.select(table) if words(each.select_one("th")) == name]
    return [words(cell) for cell in found.select("td")]


def test_without_results_there_is_no_page(root: Path) -> None:
    assert "performance.html" in render(root, lambda *_: None)
    for path in (root / FOLDER).iterdir():
        path.unlink()
    files = render(root, lambda *_: None)
    assert "performance.html" not in files
    assert b"performance" not in files["index.html"]
    assert performance(root) is None


def test_every_page_leads_to_it(root: Path) -> None:
    files = render(root, lambda *_: None)
    for name in ("index.html", "sample.html", "data.html", "performance.html"):
        assert BeautifulSoup(files[name], "html.parser").select('nav a[href="performance.html"]'), name
    soup = page(root)
    assert words(soup.select_one("nav a[aria-current]")) == "performance"
    linked = {
        str(tag[what]).removeprefix("../")
        for what in ("src", "href")
        for tag in soup.select(f"[{what}]")
        if ".svg" in str(tag[what])
    }
    assert linked
    assert linked <= set(files)


def test_environment_and_sources(root: Path) -> None:
    soup = page(root)
    assert words(soup.select_one("h2")) == "A <processor>"
    assert words(soup.select_one("dl.first")) == "torch 2.13.0 threads 2 cores 4 measured 2026-01-02"
    named = [words(code) for code in soup.select("p code") if words(code).endswith(".csv")]
    assert named == [f"{FOLDER}/{path.name}" for path in sorted((root / FOLDER).iterdir())]
    assert len(named) == 2


def test_speeds_times_and_peaks(root: Path) -> None:
    soup = page(root)
    assert [words(head) for head in soup.select_one("table.speeds").select("thead th")] == [
        "mechanism",
        "n = 256",
        "n = 512",
        "n = 1,024",
        "n = 2,048",
        "n = 4,096",
        "n = 8,192",
    ]  # 960, where bisection looked, is no column
    local = line(soup, "table.speeds tbody tr", "local")
    assert local[0] == "0.26× 2.56 ms 25.6 MiB (12.8)"
    assert local[-1] == "8.19× 81.9 ms 819 MiB (12.8)"
    assert line(soup, "table.speeds tbody tr", "softmax the fused kernel")[0] == "0.66 ms 2.00 MiB (1.0)"
    peer = line(soup, "table.speeds tbody tr", "smyrf rounds 2, cluster size 32 straightforward smyrf")
    assert peer[-2:] == ["6.83× 24.6 ms", "not run"]
    assert soup.select_one('span[title="predicted: 4 runs of 9 s"]')
    assert not soup.select(
        'a[href$="straightforward_smyrf.py.html"]'
    )  # the script is not here, so there is no page of it
    assert len(soup.select("span.slower")) == 2 + 2 + 6  # local and the peer below 1,024, plain softmax always
    titles = [words(title) for title in soup.select("h3")]
    assert "Whole layers, causal self, forward + backward: 8 heads of width 64, float32" in titles


def test_from_which_length_it_pays(root: Path) -> None:
    soup = page(root)
    head = "table[data-sortable] tbody tr"
    pattern, measured_at, fit_fused, fit_plain, memory_fit, time_growth, memory_growth = line(soup, head, "local")
    assert pattern == "noncausal self"
    assert measured_at == "1,000"  # between 960 and 1,024
    assert (fit_fused, fit_plain, memory_fit) == ("1,000", "250", "1,000")
    assert (time_growth, memory_growth) == ("1.00", "1.00")
    assert line(soup, head, "smyrf rounds 2, cluster size 32")[1:3] == ["≤ 256", "200"]


def test_targets_with_their_verdicts(root: Path) -> None:
    soup = page(root)
    found = {words(each.select_one("th")): words(each) for each in soup.select("table.targets tbody tr")}
    at_4096 = found["smyrf rounds=2 cluster_size=32: speed at n = 4,096"]
    assert at_4096.startswith("✓ holds")
    assert at_4096.endswith("≥ 4 20.48 × fused n = 4,096")
    assert found["local, window 15: speed from n = 1,024 on"].startswith("✓ holds")
    assert "smyrf rounds=2 cluster_size=32: speed at n = 16,384" not in found  # not measured
    assert words(soup.find(id="machine-1-targets")) == f"Targets: {len(found)} of {len(found)} hold"
    write(root / FOLDER, [row(LOCAL, 1024, 1.0, 0.5)])
    assert words(page(root).find(id="machine-1-targets")) == f"Targets: {len(found) - 1} of {len(found)} hold"


def test_a_file_that_is_not_whole_is_one_sentence(root: Path) -> None:
    path = next((root / FOLDER).iterdir())
    path.write_text(path.read_text()[:-40])
    with pytest.raises(UserError, match=r"\.csv breaks off after [\d,]+ characters"):
        performance(root)


def test_the_grid_is_what_several_kinds_share() -> None:
    assert grid([row(LOCAL, 960, 1.0), row(LOCAL, 256, 1.0), row(FUSED, 256, 1.0)]) == [256]
    assert grid([row(LOCAL, 2**20, 1.0)]) == [2**20]
    assert grid([]) == []


def test_units() -> None:
    assert (seconds(None), seconds(0.00012345), seconds(0.5), seconds(12.34)) == ("—", "0.12 ms", "500 ms", "12.3 s")
    assert (mebibytes(1.234), mebibytes(1023), mebibytes(1536)) == ("1.23 MiB", "1,023 MiB", "1.50 GiB")
