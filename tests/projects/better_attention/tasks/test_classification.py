"""Cells of texts, images and ratings from data to metrics, at published settings too, and their scores by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from projects.better_attention.config import FOUR, PROJECT, tokens_of
from projects.better_attention.models.checks import check
from projects.better_attention.tasks.classification import correlation, cross_entropy, hits, squared_error, train
from tests.configs import configs_of

config_of = configs_of(PROJECT, default="experiment=imdb")


def test_the_loss_of_one_logit_by_hand():
    scores = cross_entropy(lambda x: x, (torch.tensor([[0.0], [2.0]]), torch.tensor([1, 0])))
    assert float(scores["loss"]) == pytest.approx((math.log(2) + math.log(1 + math.exp(2))) / 2, abs=1e-6)
    assert float(scores["accuracy"]) == 0.0
    scores = cross_entropy(lambda x: x, (torch.tensor([[0.0, 3.0], [2.0, 1.0]]), torch.tensor([1, 1])))
    assert float(scores["accuracy"]) == 50.0


def test_the_hits_of_one_logit_and_of_several_by_hand():
    class Says(torch.nn.Linear):
        def forward(self, x):
            return x

    assert hits(Says(1, 1), torch.tensor([[-1.0], [2.0], [3.0]]), torch.tensor([0, 0, 1])) == [1.0, 0.0, 1.0]
    assert hits(Says(1, 1), torch.tensor([[0.0, 3.0], [2.0, 1.0]]), torch.tensor([1, 1])) == [1.0, 0.0]


def test_the_error_of_ratings_by_hand():
    class Says(torch.nn.Linear):
        def forward(self, x):
            return x

    said, ratings = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([1.0, 3.0, 6.0])
    assert float(squared_error(Says(1, 1), (said, ratings))["loss"]) == pytest.approx(5 / 3)
    assert correlation(Says(1, 1), said, ratings) == pytest.approx(np.corrcoef([1, 2, 4], [1, 3, 6])[0, 1])
    assert correlation(Says(1, 1), torch.ones(3, 1), ratings) == 0.0


@pytest.mark.parametrize("attention", FOUR)
def test_a_text_cell_learns_and_repeats_itself(labelled_data, tmp_path, attention):
    config = config_of(
        f"model.attention={attention}", "training.epochs=8", "training.batch_size=8", "training.learning_rate=0.01"
    )
    first = train(config, tmp_path / "first")
    assert first.metrics["test_accuracy"] == 100.0
    assert len(first.curves["validation_accuracy"]) == 8
    assert first.items["test_accuracy"] == [1.0] * 30
    again = train(config, tmp_path / "again")
    untimed = {name for name in first.metrics if name not in ("seconds_per_epoch", "latency_ms")}
    assert {name: first.metrics[name] for name in untimed} == {name: again.metrics[name] for name in untimed}
    assert first.curves == again.curves


@pytest.mark.parametrize("data", ["mnist", "cifar", "imagenet"])
def test_an_image_cell_learns(labelled_data, tmp_path, data):
    config = config_of(
        f"experiment={data}",
        "model.attention=super",
        "data.augment=false",
        "training.epochs=12",
        "training.batch_size=8",
        "model.head_dropout=0.1",
    )
    assert train(config, tmp_path).metrics["test_accuracy"] > 90


def test_rated_sentences_are_learned_as_classes_and_as_ratings(labelled_data, tmp_path):
    config = config_of(
        "experiment=amazon", "training.epochs=10", "training.batch_size=8", "training.learning_rate=0.02"
    )
    assert train(config, tmp_path / "classes").metrics["test_accuracy"] == 100
    rating = replace(config, data=replace(config.data, target="rating"))
    measured = train(rating, tmp_path / "ratings")
    assert measured.metrics["test_correlation"] > 0.9
    assert measured.metrics["test_rmse"] < 1
    assert "test_accuracy" not in measured.metrics


@pytest.mark.parametrize(
    ("override", "tokens", "name"),
    [
        ("experiment=imdb", 32, "imdb"),
        ("experiment=mnist", 144, "mnist"),
        ("experiment=cifar", 144, "cifar100"),
        ("experiment=imagenet training.devices=1 training.strategy=auto", 144, "imagenet_1k"),
        ("experiment=amazon", 32, "amazon_polarity"),
        ("table=controls_vision model.attention=super_per_head", 49, "fashion_mnist"),
    ],
)
def test_the_published_setting_runs_a_step(labelled_data, tmp_path, override, tokens, name):
    """`paper` scale as it is; only epochs, batches and the number of devices are cut."""
    attention = [] if "attention" in override else ["model.attention=super"]
    config = config_of(*override.split(), *attention, "scale=paper", "training.epochs=1", "training.batch_size=32")
    check(config)
    assert (config.data.name, config.data.source, tokens_of(config.data)) == (name, "hub", tokens)
    measured = train(replace(config, budget=replace(config.budget, repeats=1, train_examples=32)), tmp_path)
    assert all(math.isfinite(value) for value in measured.metrics.values())
