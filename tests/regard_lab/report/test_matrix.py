"""The matrix: gains over softmax attention, and nothing concluded behind a shut gate."""

from pathlib import Path

import pytest

from regard.registry import list_mechanisms
from regard_lab.experiment.results import result_path, write_result
from regard_lab.report.matrix import matrix
from regard_lab.report.site import collect
from tests.regard_lab.report.sample_site import LAPTOP, current, page, words
from tests.regard_lab.samples import result, row


@pytest.fixture
def with_softmax(root: Path) -> Path:
    table = root / "projects" / "sample" / "tables" / "scores.yaml"
    table.write_text(
        table.read_text()
        .replace("attention: old}", "attention: softmax}")
        .replace("attention: new}", "attention: super}")
    )
    rows = [
        row({"attention": "softmax"}, {"accuracy": [70.0, 70.5, 71.0], "memory": [10.0] * 3}, units={"memory": "MiB"}),
        row({"attention": "super"}, {"accuracy": [73.0, 73.6, 74.2], "memory": [5.0] * 3}, units={"memory": "MiB"}),
        row({"attention": "narrow"}, {"accuracy": [70.0, 71.0, 70.0], "memory": [5.0] * 3}, units={"memory": "MiB"}),
    ]
    write_result(result_path(root, "sample", "scores", "laptop"), result(*rows, stands_in_for="the real reviews"))
    result_path(root, "sample", "scores", "quick").unlink()
    return root


def test_mechanisms_stand_beside_softmax_attention(with_softmax: Path) -> None:
    found = matrix(collect(with_softmax, current).views, None)
    (task,) = found.tasks
    assert (task.table, task.metric, task.direction, task.unit, task.gate) == (
        "scores",
        "accuracy",
        "higher",
        "points",
        "",
    )
    assert task.stands_in == "imdb for the real reviews"
    lines = {line.name: line for line in found.lines}
    run = {name: line.kind for name, line in lines.items() if any(line.scores)}
    assert list(run.items()) == [("super", "mechanism"), ("narrow", "control")]
    waiting = {name for name in lines if name not in run}
    assert waiting == {*list_mechanisms()} - {"softmax", "super"}  # a mechanism that no table names is there, not run
    (score,) = lines["super"].scores[0]
    assert (score.text, score.interval, score.seeds, score.sense) == ("+3.1", "[2.9, 3.3]", 3, "better")
    assert lines["narrow"].scores[0][0].sense == "open"


def test_the_page_has_it(with_softmax: Path) -> None:
    soup = page(with_softmax, "index.html")
    cells = [words(cell) for cell in soup.select("#matrix-table tbody tr")[0].select("th, td")]
    assert cells == ["super", "—", "—", "+3.1 [2.9, 3.3] n 3"]
    assert "◇" in words(soup.select_one("#matrix-table thead"))


def test_without_softmax_rows_there_is_nothing_to_compare(root: Path) -> None:
    assert LAPTOP.row(attention="softmax") is None
    assert matrix(collect(root, current).views, None).tasks == []
    assert "No table has been run" in words(page(root, "index.html").select_one("main"))
