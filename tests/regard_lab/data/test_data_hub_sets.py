"""CIFAR-100, ImageNet-1K and Amazon polarity: what they make of the hub's columns and of the files of their homepages."""

import numpy as np
import pytest
from PIL import Image

from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.data.sets import amazon_polarity, cifar100, imagenet_1k


def plain(values: list[int], size: int = 32) -> list[Image.Image]:
    return [Image.fromarray(np.full((size, size, 3), value, np.uint8)) for value in values]


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


def test_imagenet_1k_is_written_and_mapped(monkeypatch, tmp_path):
    halves = {
        "train": {"image": plain([1, 2, 3, 4, 5], 90), "label": [1, 2, 3, 4, 5]},
        "validation": {"image": plain([9], 20), "label": [9]},
    }
    monkeypatch.setattr(imagenet_1k, "load_hub", lambda path: halves)
    monkeypatch.setattr(imagenet_1k, "HELD_OUT", 3)
    splits = imagenet_1k.from_hub()
    for part, images in splits.items():
        for file, content in images.files(part).items():
            (tmp_path / file).write_bytes(content)
    read = {part: imagenet_1k.FORM.read(tmp_path, part) for part in splits}
    assert {part: images.labels.tolist() for part, images in read.items()} == {
        "train": [2, 3, 5],
        "validation": [1, 4],
        "test": [9],
    }
    assert read["train"].images.shape == (3, 72, 72, 3)
    assert isinstance(read["train"].images, np.memmap)
    before = (tmp_path / "train_images.npy").read_bytes()
    read["train"].images[:] = 0  # in memory alone
    assert (tmp_path / "train_images.npy").read_bytes() == before


def test_imagenet_1k_of_folders_has_the_sizes_of_its_card(tmp_path):
    for half in ("train", "val"):
        for at, kind in enumerate(("n1", "n2")):
            (tmp_path / half / kind).mkdir(parents=True)
            plain([at], 80)[0].save(tmp_path / half / kind / "0.png")
    splits = imagenet_1k.from_folder(tmp_path)
    assert {name: part.labels.tolist() for name, part in splits.items()} == {
        "train": [1],
        "validation": [0],
        "test": [0, 1],
    }
    sizes = data.card("imagenet_1k").sizes
    assert sizes["train"] + sizes["validation"] == 1_281_167
    assert sizes["validation"] == -(-1_281_167 // imagenet_1k.HELD_OUT)


def test_amazon_polarity_joins_title_and_text(monkeypatch, tmp_path):
    monkeypatch.setattr(amazon_polarity, "VALIDATION", 1)
    half = {"title": ["Great", "Bad"], "content": ["I like it", "Broke"], "label": [1, 0]}
    monkeypatch.setattr(amazon_polarity, "load_hub", lambda path: {"train": half, "test": half})
    splits = amazon_polarity.from_hub()
    assert list(splits["train"].rows()) == [("Great I like it", 1)]
    assert list(splits["validation"].rows()) == [("Bad Broke", 0)]
    (tmp_path / "train.csv").write_text('"2","Great","I ""like"" it"\n"1","Bad","Broke"\n')
    with pytest.raises(UserError, match=r"missing: test\.csv"):
        amazon_polarity.from_folder(tmp_path)
    (tmp_path / "test.csv").write_text('"1","Bad","Broke"\n')
    assert list(amazon_polarity.from_folder(tmp_path)["train"].rows()) == [('Great I "like" it', 1)]
    (tmp_path / "test.csv").write_text('"3","Bad","Broke"\n')
    with pytest.raises(UserError, match=r"line 1 of .*test\.csv is not class"):
        amazon_polarity.from_folder(tmp_path)
