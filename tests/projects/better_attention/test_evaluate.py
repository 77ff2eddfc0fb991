"""Kept runs of this project, and its cells as on a machine with a GPU."""

import torch

from projects.better_attention.config import PROJECT
from projects.better_attention.tasks import classification, language_model, translation
from tests.configs import configs_of
from tests.far_device import run_far
from tests.kept_runs import check_kept

config_of = configs_of(PROJECT, default="experiment=imdb")
SHORT = ("training.epochs=2", "training.batch_size=8")
TINY = ("search=null", "model.width=8", "model.heads=2", "model.hidden=[8]", "model.blocks=1", *SHORT)


def test_a_kept_run_is_measured_again_and_loaded(labelled_data, tmp_path):
    config = config_of("model.attention=super", *SHORT)
    model = check_kept(classification.train, config, tmp_path / "run")
    assert model(torch.ones(2, config.data.length, dtype=torch.long)).shape == (2, 1)


def test_a_classifier_runs_on_a_far_device(labelled_data, tmp_path, monkeypatch):
    config = config_of("experiment=mnist", "data.augment=false", "model.attention=optimised", *SHORT)
    assert run_far(classification.train, config, tmp_path, monkeypatch) == set()


def test_a_language_model_runs_on_a_far_device(novels, tmp_path, monkeypatch):
    words = ("table=lm", "data.vocabulary=262", "data.length=12", "budget.held_out_examples=16", *TINY)
    assert run_far(language_model.train, config_of(*words), tmp_path, monkeypatch) == set()


def test_a_translator_searches_on_a_far_device(parallel_data, tmp_path, monkeypatch):
    words = ("table=translation", "data.vocabulary=260", "data.length=6", *TINY)
    assert run_far(translation.train, config_of(*words), tmp_path, monkeypatch) == set()
