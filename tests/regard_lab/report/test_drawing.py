"""Figures of a paper: drawn into the site's files, each with its size and with a description that is not its caption."""

from pathlib import Path

from regard_lab.report.drawing import draw
from regard_lab.report.site import collect
from tests.regard_lab.report.sample_site import LAPTOP, current


def test_figures_know_their_size_their_sources_and_what_they_show(root: Path) -> None:
    files: dict[str, bytes] = {}
    scores, later = draw(collect(root, current).views[0], [LAPTOP], root, files)
    assert list(files) == ["figures/sample-scores.svg"]
    assert scores.width > scores.height > 100
    assert scores.alt != scores.caption
    assert scores.alt.startswith("Chart, laptop scale, 3 seeds")
    assert scores.script == "projects/sample/figures.py"
    assert scores.sources == ["results/laptop/sample/scores.json"]
    assert (later.path, later.alt) == (None, "")
