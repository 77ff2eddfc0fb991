"""The first project: its configs, its encoder, and a cell from data to metrics on a few made-up texts and pictures."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from projects.better_attention import data as project_data
from projects.better_attention.data import PADDING, UNKNOWN, encode, vocabulary_of, words_of
from projects.better_attention.model import Encoder, check, tokens_of
from projects.better_attention.project import CONTROLS, PROJECT
from projects.better_attention.train import score, train
from regard_lab.experiment.tables import load_table
from tests.configs import configs_of

ROOT = Path(__file__).resolve().parents[2]
ATTENTIONS = ("softmax", "optimised", "efficient", "super")
SCALES = ("quick", "laptop", "paper")


config_of = configs_of(PROJECT, default="experiment=imdb")


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("table", PROJECT.tables(ROOT))
def test_every_config_composes_and_passes_its_check(table, scale):
    composed = load_table("better_attention", table, scale, ROOT, check=True)
    assert {cell.key["attention"] for cell in composed.cells} <= {*ATTENTIONS, *CONTROLS}
    assert len({cell.id for cell in composed.cells}) == len(composed.cells)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.attention=supre", "there is no mechanism 'supre'. Did you mean 'super'"),
        ("model.heads=5", "width = 32 and heads = 5"),
        ("model.norm=none", "model.norm must be one of pre, post, got 'none'"),
        ("model.dropout=1.0", r"model.dropout must be at least 0 and below 1, got 1.0"),
        ("training.batch_size=0", "training.batch_size must be at least 1, got 0"),
        ("training.learning_rate=0", "learning_rate must be positive"),
        ("budget.epochs=0", "budget.epochs must be at least 1, got 0"),
        ("budget.train_examples=0", "budget.train_examples must be at least 1, got 0"),
        ("data.vocabulary=2", "data.vocabulary must be at least 3"),
        ("data.length=0", "tokens must be 1 to 65,536, got 0"),
        ("experiment=mnist data.patch=5", "patch = 5 and image_size = 28"),
        ("experiment=mnist model.hidden=[128]", r"must end in the width 64, got \[128\]"),
    ],
)
def test_a_config_that_cannot_run_is_refused_with_the_numbers(override, message):
    with pytest.raises(ValueError, match=message):
        check(config_of(*override.split()))


@pytest.mark.parametrize(("attention", "parameters"), list(zip(ATTENTIONS, (4224, 3168, 2112, 3168), strict=True)))
def test_the_papers_attention_parameters(attention, parameters):
    config = config_of(f"model.attention={attention}", "scale=laptop")
    assert Encoder(config.data, config.model).attention_parameters() == parameters


def test_words_and_vocabulary_by_hand():
    assert words_of("It's GREAT!<br /><br />10/10 &amp; more") == ["it's", "great", "10", "10", "more"]
    vocabulary = vocabulary_of(["b a b", "c a b"], size=4)  # two words beside padding and the unknown
    assert vocabulary == {"b": 2, "a": 3}
    tokens = encode(["c b a", "b", ""], vocabulary, length=2)
    assert tokens.tolist() == [[2, 3], [2, PADDING], [PADDING, PADDING]]  # the last two words; padding at the end
    assert encode(["a c"], vocabulary, length=3).tolist() == [[3, UNKNOWN, PADDING]]


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_padding_changes_nothing(attention):
    config = config_of(f"model.attention={attention}", "data.length=6")
    torch.manual_seed(0)
    model = Encoder(config.data, config.model).eval()
    tokens = torch.tensor([[5, 6, 7, PADDING, PADDING, PADDING], [5, 6, 7, 8, 9, 4]])
    before = model(tokens)
    with torch.no_grad():
        model.embedding.weight[PADDING] = 1e6
    assert torch.equal(model(tokens), before)
    alone = model(torch.tensor([[5, 6, 7, PADDING, PADDING, PADDING]]))
    assert torch.allclose(alone[0], before[0], atol=1e-6)
    assert model(torch.full((1, 6), PADDING)).isfinite().all()


def test_the_loss_of_one_logit_by_hand():
    scores = score(lambda x: x, (torch.tensor([[0.0], [2.0]]), torch.tensor([1, 0])))
    assert float(scores["loss"]) == pytest.approx((math.log(2) + math.log(1 + math.exp(2))) / 2, abs=1e-6)
    assert float(scores["accuracy"]) == 0.0
    scores = score(lambda x: x, (torch.tensor([[0.0, 3.0], [2.0, 1.0]]), torch.tensor([1, 1])))
    assert float(scores["accuracy"]) == 50.0


@pytest.fixture
def made_up_data(monkeypatch, tmp_path):
    """Texts and pictures whose class can be seen, in place of the real sets; the shapes are the real ones."""
    random = np.random.default_rng(0)

    def texts(n):
        labels = np.arange(n) % 2
        return SimpleNamespace(texts=[("good " if label else "bad ") * 3 + "film" for label in labels], labels=labels)

    def images(n):
        labels = np.arange(n) % 10
        pictures = random.integers(0, 60, (n, 28, 28), dtype=np.uint8)
        for picture, label in zip(pictures, labels, strict=True):
            picture[2 * label : 2 * label + 3] = 255
        return SimpleNamespace(images=pictures, labels=labels.astype(np.int64))

    make = {"imdb": texts, "mnist": images}
    sizes = {"train": 64, "validation": 20, "test": 30}
    monkeypatch.setattr(
        project_data.data, "load", lambda name, root, source: {split: make[name](n) for split, n in sizes.items()}
    )
    project_data._encoded.cache_clear()
    monkeypatch.chdir(tmp_path)
    yield
    project_data._encoded.cache_clear()


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_text_cell_learns_and_repeats_itself(made_up_data, tmp_path, attention):
    config = config_of(
        f"model.attention={attention}", "budget.epochs=8", "training.batch_size=8", "training.learning_rate=0.01"
    )
    first = train(config, tmp_path / "first")
    assert first.metrics["test_accuracy"] == 100.0
    assert len(first.curves["validation_accuracy"]) == 8
    again = train(config, tmp_path / "again")
    untimed = {name for name in first.metrics if name not in ("seconds_per_epoch", "latency_ms")}
    assert {name: first.metrics[name] for name in untimed} == {name: again.metrics[name] for name in untimed}
    assert first.curves == again.curves


def test_a_picture_cell_learns(made_up_data, tmp_path):
    config = config_of(
        "experiment=mnist",
        "model.attention=super",
        "budget.epochs=12",
        "training.batch_size=8",
        "model.head_dropout=0.1",
    )
    assert train(config, tmp_path).metrics["test_accuracy"] > 90


@pytest.mark.parametrize("data", ["imdb", "mnist"])
def test_the_published_setting_runs_a_step(made_up_data, tmp_path, data):
    """`paper` scale as it is, on pictures and texts of the right shapes; only epochs, examples, batches and timed repeats are cut."""
    config = config_of(
        f"experiment={data}", "model.attention=super", "scale=paper", "budget.epochs=1", "training.batch_size=32"
    )
    assert config.data.source == "hub"
    assert tokens_of(config.data) == {"imdb": 32, "mnist": 144}[data]
    measured = train(replace(config, budget=replace(config.budget, repeats=1, train_examples=32)), tmp_path)
    assert all(math.isfinite(value) for value in measured.metrics.values())
