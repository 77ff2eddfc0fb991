"""Fashion-MNIST and CIFAR-10: read out of their packages, split without repeats, and the real ones where they are prepared."""

import fnmatch
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.data.halves import three_splits
from regard_lab.data.images import Images
from regard_lab.data.photographs_in_folders import in_classes
from regard_lab.data.sets import celeba_hq, cifar10, fashion_mnist, imagenet
from tests.regard_lab.data.tiny_packages import DIGITS

ROOT = Path(__file__).resolve().parents[3]


def images(*values: int) -> Images:
    """A 1 × 1 picture a value, labelled by its place."""
    return Images(np.array(values, np.uint8).reshape(-1, 1, 1), np.arange(len(values)))


def test_halves_share_no_image():
    splits = three_splits(images(1, 7, 2, 5, 2, 3, 1, 4, 5), images(7, 8, 7), 2, "toy")
    assert splits["test"].images.ravel().tolist() == [7, 8, 7]
    assert splits["validation"].images.ravel().tolist() == [4, 5]
    assert splits["train"].images.ravel().tolist() == [
        1,
        2,
        2,
        3,
        1,
    ]  # 7 is in test, 5 in validation; its own repeats stay
    assert splits["train"].labels.tolist() == [0, 2, 4, 5, 6]
    assert data.repeats_across(splits) == 0
    with pytest.raises(UserError, match="toy's train half has 3 images, too few to keep 3"):
        three_splits(images(1, 2, 3), images(4), 3, "toy")


class Files:
    """An archive in memory."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.contents = files

    def files(self, pattern: str) -> list[tuple[str, bytes]]:
        return [(name, content) for name, content in self.contents.items() if fnmatch.fnmatchcase(name, pattern)]


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


def test_the_packages_are_pinned():
    assert fashion_mnist.CARD.packages[0].registry == "debian"
    for module in (fashion_mnist, cifar10):
        package = module.CARD.packages[0]
        assert len(package.sha256) == 64
        assert package.version


def prepared(name: str) -> pytest.MarkDecorator:
    there = (data.folder_of(name, ROOT) / data.MANIFEST).exists()
    return pytest.mark.skipif(not there, reason=f"data/{name} is not prepared: python -m regard_lab.data fetch {name}")


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


def test_pictures_of_folders(tmp_path):
    for name, colours in {"n2": [(0, 255, 0)], "n1": [(255, 0, 0), (0, 0, 255)]}.items():
        (tmp_path / name).mkdir()
        for at, colour in enumerate(colours):
            picture = Image.new("RGB", (60, 20), (255, 255, 255))
            picture.paste(colour, (18, 0, 42, 20))  # around the middle square; what is beside it is cut
            picture.save(tmp_path / name / f"{at}.png")
    found = in_classes(tmp_path, 2)
    assert found.labels.tolist() == [0, 0, 1]
    assert found.images.shape == (3, 2, 2, 3)
    assert found.images[:, 0, 0].tolist() == [[255, 0, 0], [0, 0, 255], [0, 255, 0]]
    faces = celeba_hq.from_folder(tmp_path / "n1")["train"]
    assert faces.images.shape == (2, 128, 128, 3)
    assert faces.labels.tolist() == [0, 0]
    assert len(imagenet.from_folder(tmp_path)["test"]) == 3
    with pytest.raises(UserError, match="holds no picture"):
        celeba_hq.from_folder(tmp_path)
    with pytest.raises(UserError, match="holds no folders"):
        in_classes(tmp_path / "n1", 2)
    (tmp_path / "n1" / "2.jpg").write_bytes(b"no")
    with pytest.raises(UserError, match=r"2\.jpg is not a picture"):
        in_classes(tmp_path, 2)
