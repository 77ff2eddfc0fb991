"""Pictures on their way into the encoder, the sets that stand in for each other, and cells at published settings on made-up data."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from projects.better_attention import data as project_data
from projects.better_attention.config import PROJECT, leaves_maps
from projects.better_attention.data import PADDING, splits, words
from projects.better_attention.learning import some
from projects.better_attention.maps import effective, exhibits, packed, unpacked
from projects.better_attention.model import Encoder, check, tokens_of
from projects.better_attention.pixels import Pixels, augmented, moments, patches
from projects.better_attention.train import correlation, squared_error, train
from regard.observers import observe
from regard_lab.common import images
from tests.configs import configs_of

ROOT = Path(__file__).resolve().parents[3]


config_of = configs_of(PROJECT, default="experiment=imdb")


def test_patches_by_hand():
    picture = torch.arange(16.0).reshape(1, 4, 4)
    assert patches(picture, 2)[0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    coloured = torch.stack((picture, picture + 100), -1)  # the colours of a pixel stand together
    assert patches(coloured, 2)[0, 1].tolist() == [2, 102, 3, 103, 6, 106, 7, 107]
    with pytest.raises(ValueError, match="3 pixels"):
        patches(picture, 3)


def test_moments_are_those_of_numpy_by_channel():
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 3), dtype=np.uint8)
    mean, sd = moments(torch.from_numpy(images))
    assert mean.tolist() == pytest.approx(images.mean((0, 1, 2)).tolist(), rel=1e-6)
    assert sd.tolist() == pytest.approx(images.std((0, 1, 2)).tolist(), rel=1e-6)
    grey = moments(torch.from_numpy(images[..., 0]))
    assert grey[0].tolist() == [mean[0]]


def test_pixels_are_scaled_and_resized():
    images = torch.tensor([[[0, 255], [255, 0]]], dtype=torch.uint8)
    pixels = Pixels(channels=1, size=2, augment=False)
    pixels.adapt(images)
    assert pixels(images)[0, :, :, 0].tolist() == [[-1, 1], [1, -1]]
    larger = Pixels(channels=1, size=4, augment=True).eval()
    assert larger(images).shape == (1, 4, 4, 1)
    assert torch.equal(larger(images), larger(images))
    with pytest.raises(ValueError, match="have 1 channels, the model was built for 3"):
        Pixels(channels=3, size=2, augment=False).adapt(images)


def test_augmentation_moves_pictures_a_little_and_only_in_training():
    x = torch.zeros(400, 1, 16, 16)
    x[:, :, 4:12, 1:4] = 1.0  # a bar on the left
    torch.manual_seed(0)
    moved = augmented(x)
    left, right = moved[..., :8].sum((1, 2, 3)), moved[..., 8:].sum((1, 2, 3))
    assert 0.4 < float((right > left).float().mean()) < 0.6  # half of them mirrored
    area = moved.sum((1, 2, 3)) / 24
    assert 0.8 < float(area.mean()) < 1.25
    assert float(area.std()) > 0.05  # zoomed
    torch.manual_seed(0)
    assert torch.equal(augmented(x), moved)
    pixels, images = Pixels(1, 16, augment=True), (255 * x[:, 0]).to(torch.uint8)
    assert not torch.equal(pixels(images), pixels.eval()(images))


def test_augmentation_by_hand(monkeypatch):
    """With all draws at their least a picture is turned by −0.02 of a turn, zoomed by 0.8 in both directions, and mirrored."""
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda self, low, high: self.fill_(low))
    x = torch.zeros(1, 1, 101, 101)
    x[0, 0, 50, 40] = 1  # ten pixels left of the middle
    row, column = divmod(int(augmented(x).argmax()), 101)
    # The grid says where each pixel comes from: (−10, 0) = R(θ) (−0.8 X, 0.8 Y) with θ = −7.2°, so that (X, Y) = 10 (cos θ, sin θ) / 0.8.
    turn = 2 * math.pi * 0.02
    assert column - 50 == pytest.approx(10 * math.cos(turn) / 0.8, abs=1)
    assert row - 50 == pytest.approx(-10 * math.sin(turn) / 0.8, abs=1)


def test_some_rows_of_a_split_stay_together():
    rows = torch.arange(10)
    left, right = some((rows, rows + 100), 4)
    assert len(set(left.tolist())) == 4
    assert torch.equal(right, left + 100)
    assert some((rows,), None)[0] is rows
    assert some((rows,), 11)[0].sort().values.tolist() == rows.tolist()


MADE = {"train": 64, "validation": 20, "test": 30}


@pytest.fixture
def made_up_data(monkeypatch, tmp_path):
    """Pictures and texts of the real shapes whose class can be seen."""
    random = np.random.default_rng(0)

    def images(n, size, classes, channels):
        labels = np.arange(n) % classes
        shape = (n, size, size, channels) if channels > 1 else (n, size, size)
        made = random.integers(0, 60, shape, dtype=np.uint8)
        for picture, label in zip(made, labels, strict=True):
            at = label * size // classes
            picture[at : at + 3] = 255
        return SimpleNamespace(images=made, labels=labels.astype(np.int64))

    def texts(n):
        labels = np.arange(n) % 2
        return SimpleNamespace(texts=[("good " if label else "bad ") * 40 for label in labels], labels=labels)

    def rated(n):
        scores = np.array([-2.5, 3.0, 0.0, 1.5])[np.arange(n) % 4]
        names = {-2.5: "awful", 3.0: "great", 0.0: "thing", 1.5: "fine"}
        return SimpleNamespace(texts=[f"a {names[score]} product" for score in scores], scores=scores)

    make = {
        "mnist": lambda n: images(n, 28, 10, 1),
        "fashion_mnist": lambda n: images(n, 28, 10, 1),
        "cifar10": lambda n: images(n, 32, 10, 3),
        "cifar100": lambda n: images(n, 32, 100, 3),
        "imagenet_1k": lambda n: images(n, 72, 1000, 3),
        "imdb": texts,
        "amazon_polarity": texts,
        "rated_sentences": rated,
    }

    def load(name, root, source):
        prefix = "amazon_" if name == "rated_sentences" else ""
        return {f"{prefix}{split}": make[name](n) for split, n in MADE.items()}

    monkeypatch.setattr(project_data.data, "load", load)
    project_data._encoded.cache_clear()
    monkeypatch.chdir(tmp_path)
    yield
    project_data._encoded.cache_clear()


@pytest.mark.parametrize(
    ("override", "tokens", "name"),
    [
        ("experiment=cifar", 144, "cifar100"),
        ("experiment=imagenet training.devices=1 training.strategy=auto", 144, "imagenet_1k"),
        ("experiment=amazon", 32, "amazon_polarity"),
        ("table=controls_vision model.attention=super_per_head", 49, "fashion_mnist"),
    ],
)
def test_the_published_setting_runs_a_step(made_up_data, tmp_path, override, tokens, name):
    """`paper` scale as it is; only epochs, batches and the number of devices are cut."""
    attention = [] if "attention" in override else ["model.attention=super"]
    config = config_of(*override.split(), *attention, "scale=paper", "budget.epochs=1", "training.batch_size=32")
    check(config)
    assert (config.data.name, config.data.source, tokens_of(config.data)) == (name, "hub", tokens)
    measured = train(replace(config, budget=replace(config.budget, repeats=1, train_examples=32)), tmp_path)
    assert all(math.isfinite(value) for value in measured.metrics.values())


def test_imagenet_at_paper_scale_is_distributed():
    training = config_of("experiment=imagenet", "scale=paper").training
    assert (training.devices, training.strategy) == (4, "ddp")
    assert config_of("experiment=imagenet").training.devices == 1


@pytest.mark.parametrize("data", ["cifar", "imagenet"])
def test_a_picture_cell_learns(made_up_data, tmp_path, data):
    config = config_of(
        f"experiment={data}",
        "model.attention=super",
        "data.augment=false",
        "budget.epochs=12",
        "training.batch_size=8",
        "model.head_dropout=0.1",
    )
    assert train(config, tmp_path).metrics["test_accuracy"] > 90


def test_rated_sentences_as_classes_and_as_ratings(made_up_data, tmp_path):
    config = config_of("experiment=amazon", "budget.epochs=10", "training.batch_size=8", "training.learning_rate=0.02")
    tokens, labels = splits(config.data, tmp_path)["train"]
    assert len(tokens) == 48  # a rating of 0 is in no class
    assert labels[:3].tolist() == [0, 1, 1]
    spoken = words(config.data, tmp_path)
    assert [spoken[number] for number in tokens[0, :4].tolist()] == ["a", "awful", "product", ""]
    assert train(config, tmp_path / "classes").metrics["test_accuracy"] == 100
    rating = replace(config, data=replace(config.data, target="rating"))
    tokens, ratings = splits(rating.data, tmp_path)["train"]
    assert len(tokens) == 64
    assert ratings[:4].tolist() == [-2.5, 3.0, 0.0, 1.5]
    measured = train(rating, tmp_path / "ratings")
    assert measured.metrics["test_correlation"] > 0.9
    assert measured.metrics["test_rmse"] < 1
    assert "test_accuracy" not in measured.metrics


def test_the_error_of_ratings_by_hand():
    class Says(torch.nn.Linear):
        def forward(self, x):
            return x

    said, ratings = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([1.0, 3.0, 6.0])
    assert float(squared_error(Says(1, 1), (said, ratings))["loss"]) == pytest.approx(5 / 3)
    assert correlation(Says(1, 1), said, ratings) == pytest.approx(np.corrcoef([1, 2, 4], [1, 3, 6])[0, 1])
    assert correlation(Says(1, 1), torch.ones(3, 1), ratings) == 0.0


@pytest.mark.parametrize("data", ["mnist", "imdb"])
def test_seed_0_leaves_attention_maps(made_up_data, tmp_path, data):
    config = config_of(f"table={data}", "model.attention=super")
    model = Encoder(config.data, config.model).eval()
    inputs = splits(config.data, tmp_path)["test"][0]
    shown = exhibits(config, model, inputs)["attention_maps"]
    assert len(shown) == {"mnist": 2, "imdb": 1}[data]
    seen = []
    with observe(model, seen.append):
        model(inputs[:1])
    layer = seen[-1].layer
    by_hand = (seen[-1].probabilities[0] @ layer.mixing.weight).mean(0).detach()
    torch.testing.assert_close(effective(seen[-1]).detach(), by_hand, rtol=0, atol=1e-5)
    stored = unpacked(shown[0]["effective"])
    reach = float(by_hand.max() - by_hand.min())
    assert np.abs(stored - by_hand.numpy()).max() <= reach / 255
    assert unpacked(shown[0]["weights"]).sum(1) == pytest.approx(np.ones(len(stored)), abs=len(stored) * reach / 255)
    if data == "mnist":
        assert np.array_equal(images.decode(shown[1]["picture"]), inputs[1].numpy())
    else:
        assert shown[0]["words"] == ["bad"] * 32
    assert leaves_maps(config)
    others = (replace(config, seed=1), replace(config, model=replace(config.model, attention="efficient")))
    for other in (*others, config_of("table=cifar"), config_of("table=ablation_heads", "model.attention=super")):
        assert not leaves_maps(other)


def test_packed_matrices_keep_their_ends():
    matrix = torch.tensor([[-0.5, 0.0], [0.25, 1.0]])
    found = unpacked(packed(matrix))
    assert (found[0, 0], found[1, 1]) == (-0.5, 1.0)
    assert np.abs(found - matrix.numpy()).max() <= 1.5 / 255
    assert np.array_equal(unpacked(packed(torch.full((2, 2), 0.3))), np.full((2, 2), float(torch.tensor(0.3))))


def test_a_text_may_be_shorter_than_the_model():
    config = config_of("model.attention=super")
    model = Encoder(config.data, config.model).eval()
    tokens = torch.full((1, 32), PADDING)
    tokens[0, :5] = torch.arange(5, 10)
    torch.testing.assert_close(model(tokens[:, :5]), model(tokens), rtol=0, atol=1e-6)
