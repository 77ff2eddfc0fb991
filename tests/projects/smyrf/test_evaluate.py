"""Kept runs of this project, and its cells as on a machine with a GPU."""

import torch

from projects.smyrf.analyses.pretrained.outputs import output
from projects.smyrf.models.swapping import Swap, swapped
from projects.smyrf.swap import of_run
from projects.smyrf.tasks.gan import attention_swap
from projects.smyrf.tasks.text import imdb
from tests.far_device import run_far
from tests.kept_runs import check_kept
from tests.projects.smyrf.tasks.test_gan import TINY, toy_data  # noqa: F401 (a fixture)
from tests.projects.smyrf.tasks.test_gan import config_of as gan_config_of
from tests.projects.smyrf.tasks.test_text import made_up, tiny  # noqa: F401 (a fixture)
from tests.projects.smyrf.tiny_texts import config_of, tiny_tokenizer


def test_a_kept_encoder_is_measured_again_loaded_and_swapped(made_up, tmp_path, monkeypatch):  # noqa: F811
    config = tiny(config_of("table=imdb", "attention.name=smyrf", "attention.rounds=2", "attention.cluster_size=8"))
    model = check_kept(imdb.train, config, tmp_path / "run")
    ids = torch.tensor([[2, 5, 7, 3]])
    assert model(ids, torch.zeros_like(ids)).shape == (1, 2)
    monkeypatch.setattr("regard_lab.training.pretrained.tokenizer_of", lambda name, root: tiny_tokenizer())
    checkpoint = of_run(tmp_path / "run", tmp_path)
    assert checkpoint.kind == "text"
    with torch.no_grad(), swapped(checkpoint.model, Swap(rounds=1, cluster_size=64)):  # one cluster: dense attention
        one = output(checkpoint, ids).vectors
    with torch.no_grad(), swapped(checkpoint.model, None):
        torch.testing.assert_close(output(checkpoint, ids).vectors, one, atol=1e-5, rtol=1e-4)


def test_a_kept_generator_is_measured_again_and_loaded(toy_data, tmp_path):  # noqa: F811
    config = gan_config_of("table=biggan_swap", *TINY, "attention.rounds=1", "attention.cluster_size=16")
    model = check_kept(attention_swap.measure, config, tmp_path / "run")
    pictures = model(torch.randn(2, config.gan.network.latent), torch.tensor([0, 1]))
    assert pictures.shape[0] == 2


def test_an_encoder_runs_on_a_far_device(made_up, tmp_path, monkeypatch):  # noqa: F811
    config = tiny(config_of("table=imdb", "attention.name=smyrf", "attention.rounds=2", "attention.cluster_size=8"))
    assert run_far(imdb.train, config, tmp_path, monkeypatch) == set()


def test_a_generator_is_scored_on_a_far_device(toy_data, tmp_path, monkeypatch):  # noqa: F811
    config = gan_config_of("table=biggan_swap", *TINY, "attention.rounds=1", "attention.cluster_size=16")
    assert run_far(attention_swap.measure, config, tmp_path, monkeypatch) == set()
