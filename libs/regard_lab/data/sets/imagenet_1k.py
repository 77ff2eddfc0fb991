"""ImageNet-1K for training: 1.28 million photographs of 1,000 kinds, made 72 × 72, and the official 50,000 for validation as the test split.

Every hundredth training picture is held out for validation. The pictures take 20 GB on the disk and about 60 GB of
memory while they are prepared; afterwards they are mapped from the file, so that the processes of one machine share
them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from regard_lab.data.card import Card, Source
from regard_lab.data.hub import load_hub
from regard_lab.data.images import Images
from regard_lab.data.mapped_images import MappedImages
from regard_lab.data.photographs_in_folders import in_classes

FORM = MappedImages
SIZE = 72
HELD_OUT = 100  # one in this many training pictures is for validation
HUB = "ILSVRC/imagenet-1k"

CARD = Card(
    name="imagenet_1k",
    title="ImageNet-1K (ILSVRC 2012), 72 × 72",
    stands_in_for=None,
    licence="ImageNet's terms of access, for non-commercial research",
    citation="Russakovsky et al.: ImageNet Large Scale Visual Recognition Challenge. IJCV 115, 2015.",
    homepage="https://www.image-net.org/",
    sources=(
        Source("hub", HUB, {"train": 1_268_355, "validation": 12_812, "test": 50_000}),
        Source(
            "folder", "train/ and val/, each with one folder per class, named by WordNet's numbers (n01440764/…)", {}
        ),
    ),
    note="The largest square of each picture's middle, made 72 × 72. Test is the official validation half, validation every hundredth of train.",
)


def from_hub() -> dict[str, Images]:
    """The hub's train and validation halves; the set's terms must first be accepted there."""
    halves = load_hub(HUB)
    return splits(*(squares(halves[half]["image"], halves[half]["label"]) for half in ("train", "validation")))


def from_folder(folder: Path) -> dict[str, Images]:
    """The unpacked archives of the homepage."""
    return splits(in_classes(folder / "train", SIZE), in_classes(folder / "val", SIZE))


def squares(pictures: Sequence[Image.Image], labels: Sequence[Any]) -> Images:
    """Decoded pictures of any size, one after the other, as one array."""
    resized = np.empty((len(labels), SIZE, SIZE, 3), np.uint8)
    for index, picture in enumerate(pictures):
        resized[index] = np.asarray(ImageOps.fit(picture.convert("RGB"), (SIZE, SIZE), Image.Resampling.LANCZOS))
    return Images(resized, np.array(labels, dtype=np.int64))


def splits(train: Images, test: Images) -> dict[str, Images]:
    """Every hundredth of train, beginning with its first, is validation."""
    held_out = np.arange(len(train)) % HELD_OUT == 0
    parts = {"train": ~held_out, "validation": held_out}
    return {name: Images(train.images[rows], train.labels[rows]) for name, rows in parts.items()} | {"test": test}
