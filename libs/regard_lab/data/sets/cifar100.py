"""CIFAR-100: photographs of a hundred kinds of things, 32 × 32, the official 50,000 and 10,000; the last 5,000 of train are validation."""

from pathlib import Path

import numpy as np

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.hub import load_hub
from regard_lab.data.images import Images, labelled

FORM = Images
VALIDATION = 5_000
SIZES = {"train": 45_000, "validation": VALIDATION, "test": 10_000}
HUB = "uoft-cs/cifar100"

CARD = Card(
    name="cifar100",
    title="CIFAR-100",
    stands_in_for=None,
    licence="no formal licence",
    citation="Krizhevsky: Learning Multiple Layers of Features from Tiny Images. Technical report, University of Toronto, 2009.",
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
    sources=(
        Source("hub", HUB, SIZES),
        Source("folder", "the binary version of the homepage: train.bin and test.bin", {}),
    ),
    note="The fine labels. Train is the first 45,000 of the official train half, validation its last 5,000; what the halves share stays in both.",
)


def from_hub() -> dict[str, Images]:
    """The official halves; the hub's images come as pictures."""
    halves = load_hub(HUB)
    train, test = (
        Images(
            np.stack([np.asarray(image, dtype=np.uint8) for image in halves[half]["img"]]),
            np.array(halves[half]["fine_label"], dtype=np.int64),
        )
        for half in ("train", "test")
    )
    return split(train, test)


def from_folder(folder: Path) -> dict[str, Images]:
    """The binary version: a byte of coarse and a byte of fine label, then 1,024 of red, of green and of blue, one image after the other."""
    train, test = (records(folder / f"{half}.bin") for half in ("train", "test"))
    return split(train, test)


def records(path: Path) -> Images:
    """The images of one binary file."""
    if not path.exists():
        raise UserError(f"CIFAR-100 needs train.bin and test.bin; missing: {path.name}")
    content = np.fromfile(path, np.uint8)
    size = 2 + 3 * 1024
    if len(content) % size:
        raise UserError(f"{path} holds {len(content):,} bytes, not a multiple of {size:,}")
    rows = content.reshape(-1, size)
    return labelled(rows[:, 2:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, 1], path.name)


def split(train: Images, test: Images) -> dict[str, Images]:
    """The last 5,000 of train are validation."""
    if len(train) <= VALIDATION:
        raise UserError(
            f"CIFAR-100's train half has {len(train):,} images, too few to keep {VALIDATION:,} for validation"
        )
    return {"train": train[:-VALIDATION], "validation": train[-VALIDATION:], "test": test}
