"""ImageNet-1K: written, mapped into memory, and the sizes of its card."""

import numpy as np

from regard_lab import data
from regard_lab.data.sets import imagenet_1k
from tests.regard_lab.data.plain_pictures import plain


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
