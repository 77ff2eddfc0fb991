"""Photographs: ten pictures that come with the package scikit-image, to look at what a vision model does. Too few to train on.

Each is cut to its middle square and resized to 518 × 518, the size that DINOv2 was trained for; grey ones have three
equal colours. There are no classes: a label is the picture's index. The first five are scenes, the others things,
textures and the moon.
"""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.images import Images
from regard_lab.data.packages import Archive, Package

FORM = Images
SIDE = 518
NAMES = ("astronaut", "chelsea", "coffee", "motorcycle_left", "camera", "coins", "brick", "gravel", "grass", "moon")
SUFFIXES = (".png", ".jpg", ".jpeg")

CARD = Card(
    name="photographs",
    title="Photographs of scikit-image's examples",
    stands_in_for="ImageNet",
    licence="the package is BSD-3; its authors gathered pictures that are free of rights or free to use",
    citation="van der Walt et al.: scikit-image: image processing in Python. PeerJ 2:e453, 2014.",
    homepage="https://scikit-image.org/docs/stable/api/skimage.data.html",
    sources=(
        Source(
            "package",
            "PyPI scikit-image 0.25.2",
            {"test": len(NAMES)},
            sha256="bf47591c3dc6cf254350099fc01606125500709fbdfb4996a2d9b09199019be7",
        ),
        Source("folder", "pictures, .png or .jpg, in the order of their names", {}),
    ),
    packages=(
        Package(
            "pypi",
            "scikit-image",
            "0.25.2",
            "e5a37e6cd4d0c018a7a55b9d601357e3382826d3888c10d0213fc63bff977dde",
            sdist=True,
        ),
    ),
    note="Ten pictures, middle squares resized to 518 × 518.",
)


def from_package(archive: Archive) -> dict[str, Images]:
    """`skimage/data/<name>.png` of the source archive; the wheel would be another file on every machine."""
    pictures = {Path(name).stem: content for name, content in archive.files("*/skimage/data/*.png")}
    if missing := [name for name in NAMES if name not in pictures]:
        raise UserError(f"{archive.package} has no picture {', '.join(missing)} in skimage/data")
    return gathered([pictures[name] for name in NAMES])


def from_folder(folder: Path) -> dict[str, Images]:
    """Any pictures."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise UserError(f"{folder} holds no picture ({', '.join(SUFFIXES)})")
    return gathered([path.read_bytes() for path in paths])


def gathered(contents: list[bytes]) -> dict[str, Images]:
    """One split, `test`."""
    images = np.stack([square(content) for content in contents])
    return {"test": Images(images, np.arange(len(images), dtype=np.int64))}


def square(content: bytes) -> NDArray[np.uint8]:
    """The middle square of a picture file, (518, 518, 3). Pillow's resampling is in whole numbers, the same on every machine."""
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    middle = picture.crop((left, top, left + side, top + side))
    return np.asarray(middle.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
