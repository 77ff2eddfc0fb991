"""Cells of the language model on a made-up text."""

import math

import pytest

from projects.better_attention.config import PROJECT
from projects.better_attention.models.checks import check
from projects.better_attention.tasks import language_model
from tests.configs import configs_of

TINY = [
    "search=null",
    "data.vocabulary=262",
    "data.length=12",
    "model.width=16",
    "model.heads=2",
    "model.blocks=2",
    "model.hidden=[24]",
]

config_of = configs_of(PROJECT, default="table=lm")


@pytest.mark.parametrize("attention", ["efficient", "super"])
def test_a_cell_learns_and_repeats_itself(novels, tmp_path, attention):
    config = config_of(
        *TINY,
        f"model.attention={attention}",
        "training.epochs=2",
        "training.batch_size=8",
        "budget.held_out_examples=16",
    )
    first = language_model.train(config, tmp_path / "first")
    assert first.metrics["test_perplexity"] == pytest.approx(math.exp(first.metrics["test_loss"]))
    assert first.metrics["test_perplexity"] < 100  # of 262
    assert len(first.items["test_loss"]) == 16
    assert sum(first.items["test_loss"]) / 16 == pytest.approx(first.metrics["test_loss"], rel=1e-5)
    assert first.metrics["cache_bytes"] == 2 * 4 * (16 if attention == "efficient" else 32)
    again = language_model.train(config, tmp_path / "again")
    assert first.metrics["latency_ms"] > 0
    untimed = first.metrics.keys() - {"seconds_per_epoch", "latency_ms"}
    assert {name: first.metrics[name] for name in untimed} == {name: again.metrics[name] for name in untimed}


def test_the_published_setting_of_the_language_model_runs_a_step(novels, tmp_path):
    """`paper` scale as it is but for depth, context and width: GPT-2's size would take minutes here. The whole is built without memory."""
    check(config_of("scale=paper", "model.attention=super"))
    cut = [
        "model.blocks=1",
        "data.length=32",
        "model.width=96",
        "training.epochs=1",
        "budget.train_examples=4",
        "budget.held_out_examples=2",
    ]
    config = config_of("scale=paper", "model.attention=super", *cut)
    assert (config.data.name, config.data.source) == ("openwebtext", "hub")
    assert all(math.isfinite(value) for value in language_model.train(config, tmp_path).metrics.values())
