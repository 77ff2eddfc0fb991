"""MNIST: out of its package, the hub and a folder."""

import gzip
import io

import numpy as np
import pytest

from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.data.sets import mnist
from tests.regard_lab.data.fake_hub import FakeHub
from tests.regard_lab.data.prepared import ROOT, prepared
from tests.regard_lab.data.tiny_packages import DIGITS


def test_mnist_from_a_package(tiny_mnist, root):
    data.prepare("mnist", root)
    splits = data.load("mnist", root)
    assert splits["train"].labels.tolist() == [7, 2, 1, 0, 4]
    assert splits["train"].labels.dtype == np.int64
    assert splits["validation"].labels.tolist() == [1, 4, 9]
    assert splits["validation"].images.tolist()[0] == [[30, 31, 32], [33, 34, 35]]
    assert splits["test"].images[1].tolist() == [[106, 107, 108], [109, 110, 111]]


def test_mnist_from_a_folder_plain_and_gzipped(root, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "VALIDATION", 3)
    for at, (name, content) in enumerate(DIGITS.items()):
        (tmp_path / (name + ".gz" * (at % 2))).write_bytes(gzip.compress(content) if at % 2 else content)
    data.prepare("mnist", root, "folder", tmp_path)
    assert data.load("mnist", root, "folder")["test"].labels.tolist() == [5, 9]
    monkeypatch.setattr(mnist, "VALIDATION", 8)
    with pytest.raises(UserError, match="train half has 8 images, too few to keep 8"):
        data.prepare("mnist", root, "folder", tmp_path)


def test_mnist_from_the_hub(root, monkeypatch, tiny_mnist):
    pillow = pytest.importorskip("PIL.Image")

    def picture(value: int) -> object:
        buffer = io.BytesIO()
        pillow.fromarray(np.full((2, 3), value, np.uint8)).save(buffer, "png")
        return pillow.open(buffer)

    half = {"image": [picture(at) for at in range(5)], "label": list(range(5))}
    FakeHub({"train": half, "test": half}).install(monkeypatch)
    monkeypatch.setattr(mnist, "VALIDATION", 2)
    data.prepare("mnist", root, "hub")
    splits = data.load("mnist", root, "hub")
    assert splits["validation"].images[:, 0, 0].tolist() == [3, 4] == splits["validation"].labels.tolist()


@prepared("mnist")
def test_mnist():
    splits = data.load("mnist", ROOT)
    assert data.checksum("mnist", ROOT) == "75f94cd0689b5f99d589c21ae27ef49e7133448d885219669e7b593000f2b551"
    assert {name: split.images.shape for name, split in splits.items()} == {
        "train": (55_000, 28, 28),
        "validation": (5_000, 28, 28),
        "test": (10_000, 28, 28),
    }
    assert splits["train"].labels[:5].tolist() == [5, 0, 4, 1, 9]  # as on every first page about MNIST
    assert np.bincount(splits["test"].labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.repeats_across(splits) == 0
