"""Kept runs of this project, and its cells as on a machine with a GPU."""

import pytest
import torch

from projects.cab.data.speech import load_prompts, load_utterances
from projects.cab.tasks import forecasting, language_modelling, speech, translation
from tests.far_device import run_far
from tests.kept_runs import check_kept
from tests.projects.cab.cab_data import config_of

TRAIN = {
    "lstf_self": forecasting.train,
    "lm": language_modelling.train,
    "translation": translation.train,
    "tts_self": speech.train,
}


def test_a_kept_run_is_measured_again_and_loaded(made_up, tmp_path):
    config = config_of("table=lm", "attention.name=local", *made_up)
    model = check_kept(language_modelling.train, config, tmp_path / "run")
    assert model(torch.ones(2, 16, dtype=torch.long)).shape[:2] == (2, 16)


def test_a_kept_model_that_speaks_is_measured_again_by_the_same_durations(made_up, tmp_path):
    """The artefact of durations and that of the model are found again, each in its place."""
    config = config_of("table=tts_cross", "attention.name=abc", *made_up)

    def forget() -> None:
        for cache in (load_prompts, load_utterances, speech.references):
            cache.cache_clear()

    model = check_kept(speech.train, config, tmp_path / "run", forget)
    assert model.encode(torch.ones(2, 5, dtype=torch.long), torch.ones(2, 5, dtype=torch.bool)).shape[:2] == (2, 5)


@pytest.mark.parametrize("table", list(TRAIN))
def test_a_cell_runs_on_a_far_device(made_up, tmp_path, monkeypatch, table):
    config = config_of(f"table={table}", "attention.name=softmax", *made_up)
    assert run_far(TRAIN[table], config, tmp_path, monkeypatch) == set()
