"""Fashion-MNIST: out of its package and a folder, and the real set where it is prepared."""

import gzip

import numpy as np
import pytest

from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.data.sets import fashion_mnist
from tests.paths import ROOT
from tests.regard_lab.data.prepared import prepared
from tests.regard_lab.data.tiny_packages import DIGITS, Files


def test_fashion_mnist_from_its_package_and_a_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(fashion_mnist, "VALIDATION", 3)
    place = "usr/share/datasets/fashion-mnist"
    packed = {f"{place}/{name}.gz": gzip.compress(content) for name, content in DIGITS.items()}
    splits = fashion_mnist.from_package(Files(packed | {f"{place}/README": b""}))
    assert {name: len(split) for name, split in splits.items()} == {"train": 5, "validation": 3, "test": 2}
    assert splits["validation"].labels.tolist() == [1, 4, 9]
    assert splits["validation"].images.tolist()[0] == [[30, 31, 32], [33, 34, 35]]
    for name, content in DIGITS.items():
        (tmp_path / name).write_bytes(content)
    assert fashion_mnist.from_folder(tmp_path)["test"].labels.tolist() == [5, 9]
    with pytest.raises(UserError, match=r"Fashion-MNIST needs t10k-images-idx3-ubyte and .*; missing: t10k-labels"):
        fashion_mnist.from_package(Files({n: c for n, c in packed.items() if "t10k-labels" not in n}))


@prepared("fashion_mnist")
def test_fashion_mnist():
    splits = data.load("fashion_mnist", ROOT)
    assert {name: split.images.shape for name, split in splits.items()} == {
        "train": (55_000, 28, 28),
        "validation": (5_000, 28, 28),
        "test": (10_000, 28, 28),
    }
    assert splits["train"].labels[:4].tolist() == [
        9,
        0,
        0,
        3,
    ]  # an ankle boot, two T-shirts, a dress: the set's first page
    assert np.bincount(splits["test"].labels).tolist() == [1_000] * 10
    assert data.repeats_across(splits) == 0
