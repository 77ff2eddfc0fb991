"""What the tests of CAB share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from projects.cab.data import running_text, sentences, series, speech
from projects.cab.tasks import speech as spoken
from regard_lab import data
from tests.paths import ROOT
from tests.projects.cab.cab_data import SMALL, load


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """Made-up sets in an empty folder; gives the overrides that make the models small enough for them."""
    caches = (
        *(series.load_series, running_text.load_subwords, sentences.load_pairs),
        *(speech.load_prompts, speech.load_utterances, spoken.references),
    )
    monkeypatch.setattr(data, "load", load)
    (tmp_path / "libs").symlink_to(ROOT / "libs")  # where the fingerprint of an artefact looks for code
    (tmp_path / "projects").symlink_to(ROOT / "projects")
    monkeypatch.chdir(tmp_path)
    for cache in caches:
        cache.cache_clear()
    few = {"training.epochs": 1, "train_examples": 16, "held_out_examples": 8}
    sizes = [f"{section}.{key}={value}" for section, each in SMALL.items() for key, value in each.items()]
    yield sizes + [f"{section}.{key}={value}" for section in SMALL for key, value in few.items()]
    for cache in caches:
        cache.cache_clear()
