"""CIFAR-100: the hub's fine labels and the binary version."""

import numpy as np
import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import cifar100
from tests.regard_lab.data.plain_pictures import plain


def test_cifar100_from_the_hub_takes_the_fine_labels(monkeypatch):
    halves = {
        "train": {"img": plain([1, 2, 3]), "fine_label": [10, 20, 30], "coarse_label": [0, 0, 0]},
        "test": {"img": plain([4]), "fine_label": [99], "coarse_label": [0]},
    }
    monkeypatch.setattr(cifar100, "load_hub", lambda path: halves)
    monkeypatch.setattr(cifar100, "VALIDATION", 1)
    splits = cifar100.from_hub()
    assert {name: part.labels.tolist() for name, part in splits.items()} == {
        "train": [10, 20],
        "validation": [30],
        "test": [99],
    }
    assert splits["validation"].images[0, 0, 0].tolist() == [3, 3, 3]
    monkeypatch.setattr(cifar100, "VALIDATION", 3)
    with pytest.raises(UserError, match="has 3 images, too few to keep 3"):
        cifar100.from_hub()


def test_cifar100_from_the_binary_version(monkeypatch, tmp_path):
    monkeypatch.setattr(cifar100, "VALIDATION", 1)
    red = np.zeros((3, 32, 32), np.uint8)
    red[0, 0, 1] = 255
    (tmp_path / "train.bin").write_bytes(b"".join(bytes([7, fine]) + red.tobytes() for fine in (1, 2)))
    with pytest.raises(UserError, match=r"missing: test\.bin"):
        cifar100.from_folder(tmp_path)
    (tmp_path / "test.bin").write_bytes(bytes([7, 3]) + red.tobytes())
    splits = cifar100.from_folder(tmp_path)
    assert [part.labels.tolist() for part in splits.values()] == [[1], [2], [3]]
    assert splits["test"].images[0, 0, :3].tolist() == [[0, 0, 0], [255, 0, 0], [0, 0, 0]]
    (tmp_path / "test.bin").write_bytes(b"123")
    with pytest.raises(UserError, match="holds 3 bytes, not a multiple of 3,074"):
        cifar100.from_folder(tmp_path)
