"""Fashion-MNIST: pictures of clothes, 28 × 28, ten kinds, the official 60,000 and 10,000; the last 5,000 of train are validation."""

from pathlib import Path

import numpy as np

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.halves import three_splits
from regard_lab.data.hub import load_hub
from regard_lab.data.images import Images, labelled, read_idx
from regard_lab.data.packages import Archive, Package

FORM = Images
VALIDATION = 5_000
SIZES = {"train": 55_000, "validation": VALIDATION, "test": 10_000}
HALVES = {"train": "train", "test": "t10k"}
VERSION = "0.0~git20200523.55506a9-1"

CARD = Card(
    name="fashion_mnist",
    title="Fashion-MNIST",
    stands_in_for=None,
    licence="MIT",
    citation="Xiao, Rasul, Vollgraf: Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms. arXiv 1708.07747, 2017.",
    homepage="https://github.com/zalandoresearch/fashion-mnist",
    sources=(
        Source(
            "package",
            f"Debian dataset-fashion-mnist {VERSION}",
            SIZES,
            sha256="c9d8107bbd45768907bb85713111eec89ef262ad5b9b4aac9e7fd2d4874ca0d9",
        ),
        Source("hub", "zalando-datasets/fashion_mnist", SIZES),
        Source("folder", "the four files {train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz", {}),
    ),
    packages=(
        Package(
            "debian",
            "dataset-fashion-mnist",
            VERSION,
            "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
        ),
    ),
    note="Train is the first 55,000 of the official train half, validation its last 5,000.",
)


def from_package(archive: Archive) -> dict[str, Images]:
    """`usr/share/datasets/fashion-mnist/{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz`."""
    files = archive.files("usr/share/datasets/fashion-mnist/*-ubyte.gz")
    return splits({name.rpartition("/")[2].removesuffix(".gz"): content for name, content in files})


def from_hub() -> dict[str, Images]:
    """The official halves; the hub's images come as pictures."""
    halves = load_hub("zalando-datasets/fashion_mnist")
    images = {
        half: Images(
            np.stack([np.asarray(image, dtype=np.uint8) for image in halves[half]["image"]]),
            np.array(halves[half]["label"], dtype=np.int64),
        )
        for half in HALVES
    }
    return three_splits(images["train"], images["test"], VALIDATION, "Fashion-MNIST")


def from_folder(folder: Path) -> dict[str, Images]:
    """The four files of the homepage."""
    paths = [path for path in sorted(folder.glob("*-ubyte*")) if path.suffix in ("", ".gz")]
    return splits({path.name.removesuffix(".gz"): path.read_bytes() for path in paths})


def splits(files: dict[str, bytes]) -> dict[str, Images]:
    """The splits from the four IDX files."""
    train, test = (read_half(files, half) for half in HALVES.values())
    return three_splits(train, test, VALIDATION, "Fashion-MNIST")


def read_half(files: dict[str, bytes], half: str) -> Images:
    """The images and labels of one official half."""
    names = [f"{half}-images-idx3-ubyte", f"{half}-labels-idx1-ubyte"]
    if missing := [name for name in names if name not in files]:
        raise UserError(f"Fashion-MNIST needs {' and '.join(names)}, plain or .gz; missing: {' and '.join(missing)}")
    images, labels = (read_idx(files[name], name) for name in names)
    return labelled(images, labels, half)
