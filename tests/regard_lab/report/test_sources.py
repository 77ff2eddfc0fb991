"""Pages of files: where they are, and that they lead nowhere outside."""

from pathlib import Path

from regard_lab.report.sources import base_of, markdown, origin, page_of
from tests.paths import ROOT
from tests.regard_lab.report.sample_site import page, words


def test_every_page_finds_its_way_back() -> None:
    assert page_of("projects/cab/tables/lm.yaml") == "sources/projects/cab/tables/lm.yaml.html"
    assert base_of("index.html") == ""
    assert base_of("sources/projects/cab/tables/lm.yaml.html") == "../../../../"


def test_the_files_behind_a_table() -> None:
    found = origin(ROOT, "better_attention", "imdb")
    assert found.table == "projects/better_attention/tables/imdb.yaml"
    assert found.experiments == ["projects/better_attention/experiments/imdb.yaml"]
    assert found.code is not None
    assert (ROOT / found.code).is_file()


def test_a_file_is_shown_line_by_line(root: Path) -> None:
    lines = page(root, "sources/projects/sample/tables/scores.yaml.html").select("pre.source span")
    assert words(lines[1]) == "title: Scores | of_all"
    assert lines[1]["id"] == "L2"


def test_documents_keep_only_links_to_the_web() -> None:
    title, html = markdown(
        "# A title\n\n## One `part`\n\n[out](../x.md) and [web](https://example.org), <b>\n\n| a |\n|---|\n| 1 |\n"
    )
    assert title == "A title"
    assert '<h2 id="one-part">One <code>part</code></h2>' in html
    assert '<p>out and <a href="https://example.org">web</a>' in html
    assert "<table>" in html
    assert "A title" not in html
