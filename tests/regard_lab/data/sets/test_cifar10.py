"""CIFAR-10: out of its package and the binary version, and the real set where it is prepared."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.data.sets import cifar10
from tests.paths import ROOT
from tests.regard_lab.data.prepared import prepared
from tests.regard_lab.data.tiny_packages import Files


def photographs(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


def png(pictures: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pictures.reshape(len(pictures), 1024, 3)).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def tiny_cifar10(monkeypatch):
    monkeypatch.setattr(cifar10, "VALIDATION", 3)
    batches = [photographs(2, seed) for seed in range(5)]
    return batches, photographs(3, 9)


def test_cifar10_from_its_package(tiny_cifar10):
    batches, test = tiny_cifar10
    files = {f"package/data_batch_{at + 1}.png": png(batch) for at, batch in enumerate(batches)}
    files |= {
        "package/test_batch.png": png(test),
        "package/train_lables.json": json.dumps(list(range(10))).encode(),
        "package/test_lables.json": b"[7, 8, 9]",
    }
    splits = cifar10.from_package(Files(files))
    assert np.array_equal(splits["train"].images, np.concatenate(batches)[:7])
    assert splits["train"].labels.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert splits["validation"].labels.tolist() == [7, 8, 9]
    assert np.array_equal(splits["test"].images, test)
    del files["package/data_batch_3.png"]
    with pytest.raises(UserError, match=r"no data_batch_3\.png among data_batch_1\.png"):
        cifar10.from_package(Files(files))


def test_cifar10_from_the_binary_version(tiny_cifar10, tmp_path):
    batches, test = tiny_cifar10
    for at, (name, pictures) in enumerate(zip([*cifar10.BATCHES, "test_batch"], [*batches, test], strict=True)):
        rows = [bytes([at]) + picture.transpose(2, 0, 1).tobytes() for picture in pictures]
        (tmp_path / f"{name}.bin").write_bytes(b"".join(rows))
    splits = cifar10.from_folder(tmp_path)
    assert np.array_equal(splits["train"].images, np.concatenate(batches)[:7])
    assert splits["validation"].labels.tolist() == [3, 4, 4]
    (tmp_path / "test_batch.bin").write_bytes(b"123")
    with pytest.raises(UserError, match=r"hold 3 bytes, not a multiple of 3,073"):
        cifar10.from_folder(tmp_path)
    (tmp_path / "test_batch.bin").unlink()
    with pytest.raises(UserError, match=r"missing: test_batch\.bin"):
        cifar10.from_folder(tmp_path)


@prepared("cifar10")
def test_cifar10():
    splits = data.load("cifar10", ROOT)
    assert {name: split.images.shape for name, split in splits.items()} == {
        "train": (45_000, 32, 32, 3),
        "validation": (5_000, 32, 32, 3),
        "test": (10_000, 32, 32, 3),
    }
    assert splits["test"].labels[:4].tolist() == [3, 8, 8, 0]  # a cat, two ships, an aeroplane
    assert np.bincount(splits["test"].labels).tolist() == [1_000] * 10
    mean = np.concatenate([splits["train"].images, splits["validation"].images]).mean((0, 1, 2))
    assert mean == pytest.approx([125.3, 123.0, 113.9], abs=0.1)  # red, green, blue, as everybody normalises them
