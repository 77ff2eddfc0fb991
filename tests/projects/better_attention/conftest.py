"""Made-up data in place of the real sets, of the real shapes, and an empty folder to run in."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest

from projects.better_attention.data import labelled, pairs, windows
from regard_lab.data.pairs import Pairs
from regard_lab.data.texts import Texts

SIZES = {"train": 64, "validation": 20, "test": 30}


@pytest.fixture
def labelled_data(monkeypatch, tmp_path):
    """Images and texts whose class can be seen."""
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
        return {f"{prefix}{split}": make[name](n) for split, n in SIZES.items()}

    monkeypatch.setattr(labelled.data, "load", load)
    labelled._encoded.cache_clear()
    monkeypatch.chdir(tmp_path)
    yield
    labelled._encoded.cache_clear()


@pytest.fixture
def texts_of_many_lengths(monkeypatch, tmp_path):
    """Texts of one to six words, the last of which says the class."""

    def texts(n):
        labels = np.arange(n) % 2
        said = ["so " * (k % 6) + ("good" if label else "bad") for k, label in enumerate(labels)]
        return SimpleNamespace(texts=said, labels=labels)

    def load(name, root, source):
        part = "amazon_" if name == "rated_sentences" else ""
        return {f"{part}{split}": texts(n) for split, n in SIZES.items()}

    monkeypatch.setattr(labelled.data, "load", load)
    labelled._encoded.cache_clear()
    monkeypatch.chdir(tmp_path)
    yield
    labelled._encoded.cache_clear()


def pairs_of(count: int) -> Pairs:
    """A language whose words are the other's, with an o behind."""
    words = ["open", "the", "file", "menu"]
    rows = [[words[(place // 4**step) % 4] for step in range(1 + place % 2)] for place in range(count)]
    return Pairs.of((" ".join(row), " ".join(f"{word}o" for word in row)) for row in rows)


@pytest.fixture
def parallel_data(monkeypatch, tmp_path):
    """Pairs of that language."""
    splits = {"train": pairs_of(64), "validation": pairs_of(8), "test": pairs_of(10)}
    monkeypatch.setattr(pairs.data, "load", lambda name, root, source: splits)
    monkeypatch.chdir(tmp_path)
    pairs._bilingual.cache_clear()
    yield splits
    pairs._bilingual.cache_clear()


@pytest.fixture
def novels(monkeypatch, tmp_path):
    """One sentence of a novel, over and over."""
    text = "It is a truth universally acknowledged, that a man must be in want of a wife. " * 40
    splits = {
        split: Texts.of([(text, 0), (text, 1)][: 2 if split == "train" else 1])
        for split in ("train", "validation", "test")
    }

    def stream_texts(name, root, source):
        return {split: functools.partial(iter, part.texts) for split, part in splits.items()}

    monkeypatch.setattr(windows.data, "stream_texts", stream_texts)
    monkeypatch.setattr("regard_lab.experiment.artefacts.code_fingerprint", lambda modules, root: "code")
    monkeypatch.setattr("regard_lab.experiment.artefacts.data.expected_checksum", lambda *_: "data")
    monkeypatch.chdir(tmp_path)
    return splits
