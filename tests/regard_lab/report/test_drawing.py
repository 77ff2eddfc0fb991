"""Figures of a paper: drawn into the site's files, each with its size and with a description that is not its caption."""

from pathlib import Path

import numpy as np

from regard_lab.common.sounds import content, encode
from regard_lab.report.drawing import draw
from regard_lab.report.site import collect
from tests.regard_lab.report.sample_site import LAPTOP, current, page


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


def test_sounds_become_files_that_a_page_plays(root: Path) -> None:
    """A figure's function may return sounds: each is a WAV file of the site with a labelled player."""
    tone = encode(np.zeros(80), 8_000)
    script = root / "projects" / "sample" / "figures.py"
    script.write_text(
        "from regard_lab.report.figures import Sounds\n"
        "def speech(results):\n    '''Spoken.'''\n"
        f"    return Sounds('Hello & <you>', {{'old': {tone!r}, 'new': {tone!r}}})\n"
        "FIGURES = {'speech': speech}\n"
    )
    files: dict[str, bytes] = {}
    (drawn,) = draw(collect(root, current).views[0], [LAPTOP], root, files)
    assert drawn.players == (("old", "sounds/sample-speech-0.wav"), ("new", "sounds/sample-speech-1.wav"))
    assert drawn.path is None
    assert files["sounds/sample-speech-1.wav"] == content(tone)
    players = page(root).select("#figure-speech audio[controls]")
    assert [player["src"] for player in players] == ["sounds/sample-speech-0.wav", "sounds/sample-speech-1.wav"]
    assert players[0]["aria-label"] == "old: “Hello & <you>”"
