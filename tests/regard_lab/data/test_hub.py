"""The hub as a source: its columns become splits, and without the network or the client there is one sentence."""

import sys

import numpy as np
import pytest
from PIL import Image

from regard_lab import data
from regard_lab.common.errors import DataMissing, UserError
from regard_lab.data.sets import cifar10, fashion_mnist
from tests.regard_lab.data.fake_hub import FakeHub


@pytest.mark.parametrize(("module", "column"), [(fashion_mnist, "image"), (cifar10, "img")])
def test_from_the_hub(module, column, monkeypatch):
    pictures = [Image.fromarray(np.full((2, 2), value, np.uint8)) for value in range(5)]
    half = {column: pictures, "label": list(range(5))}
    other = {column: [Image.fromarray(np.full((2, 2), 9, np.uint8))], "label": [1]}
    monkeypatch.setattr(module, "load_hub", lambda path: {"train": half, "test": other})
    monkeypatch.setattr(module, "VALIDATION", 2)
    splits = module.from_hub()
    assert splits["validation"].images[:, 0, 0].tolist() == [3, 4] == splits["validation"].labels.tolist()
    assert len(splits["test"]) == 1


def test_the_sizes_of_the_hub_are_asserted(root, monkeypatch):
    half = {"text": [f"review {at}" for at in range(20)], "label": [at // 10 for at in range(20)]}
    FakeHub({"train": half, "test": {"text": ["t"], "label": [0]}}).install(monkeypatch)
    with pytest.raises(UserError, match=r"expected \{'train': 22500, 'validation': 2500, 'test': 25000\}"):
        data.prepare("imdb", root, "hub")


def test_the_hub_offline_and_without_its_client_is_one_sentence(root, monkeypatch):
    hub = FakeHub(error=RuntimeError("Name or service not known\nmore lines")).install(monkeypatch)
    with pytest.raises(
        DataMissing, match=r"stanfordnlp/imdb could not be fetched \(Name or service not known\); connect"
    ) as caught:
        data.prepare("imdb", root, "hub")
    assert "\n" not in str(caught.value)
    assert hub.asked == []
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataMissing, match=r"needs the `datasets` package .*pip install 'regard\[hub\]'"):
        data.prepare("imdb", root, "hub")
