"""Wallpapers: 27 photographs of landscapes, plants, animals and things, as tiles of 128 × 128 pixels. Tiles of a photograph stay in one split.

Each photograph is shrunk until its shorter side has 768 pixels, and cut from its upper left corner into tiles that do
not overlap; what remains at the right and at the bottom is dropped, and so is any tile of a single colour. A label is
the photograph's index by name.
"""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.images import Images
from regard_lab.data.packages import Archive, Package

FORM = Images
SIDE = 128
SHORTER = 768
SEED = 27
HELD_OUT = 3  # photographs of validation, and of test
SIZES = {"train": 1085, "validation": 156, "test": 150}
SUFFIXES = (".jpg", ".jpeg", ".png")

CARD = Card(
    name="wallpapers",
    title="Photographs of Lomiri's and MATE's wallpapers, in tiles",
    stands_in_for="FFHQ and CelebA-HQ",
    licence="Lomiri's are CC BY-SA 3.0, MATE's GPL-2+ or Creative Commons, by picture",
    citation="lomiri-wallpapers 20.04 and mate-backgrounds 1.26, packages of Debian.",
    homepage="https://packages.debian.org/bookworm/mate-backgrounds",
    sources=(
        Source(
            "package",
            "Debian lomiri-wallpapers-16.04 20.04.0-2 and mate-backgrounds 1.26.0-1",
            SIZES,
            sha256="59b76211a432e50d6710d65a6e978e8646ca97e45c0cf00e6fae11845bca3a74",
        ),
        Source("folder", "at least seven photographs, .jpg or .png, at any depth", {}),
    ),
    packages=(
        Package(
            "debian",
            "lomiri-wallpapers-16.04",
            "20.04.0-2",
            "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
        ),
        Package(
            "debian",
            "mate-backgrounds",
            "1.26.0-1",
            "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
        ),
    ),
    note="Pictures of many kinds, where the paper's are faces.",
)


def from_package(lomiri: Archive, mate: Archive) -> dict[str, Images]:
    """Lomiri's photographs and those in MATE's folder `nature`; MATE's other pictures are drawings."""
    files = [
        *lomiri.files("usr/share/backgrounds/*.jpg"),
        *mate.files("usr/share/backgrounds/mate/nature/*.jpg"),
    ]
    return split((Path(name).name, content) for name, content in files)


def from_folder(folder: Path) -> dict[str, Images]:
    """Photographs in any folders below."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return split((path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths)


def split(pictures: Iterable[tuple[str, bytes]]) -> dict[str, Images]:
    """The tiles of pictures by name: three drawn photographs test, three validate, the others train.

    Raises:
        UserError: There are fewer than seven photographs.
    """
    contents = dict(sorted(pictures))
    if len(contents) < 2 * HELD_OUT + 1:
        raise UserError(
            f"{2 * HELD_OUT + 1} photographs are needed, {HELD_OUT} of them held out twice, got {len(contents)}"
        )
    order = np.random.default_rng(SEED).permutation(len(contents))
    members = {
        "train": sorted(order[2 * HELD_OUT :]),
        "validation": sorted(order[:HELD_OUT]),
        "test": sorted(order[HELD_OUT : 2 * HELD_OUT]),
    }
    tiles = [tiles_of(content) for content in contents.values()]
    return {
        part: Images(
            np.concatenate([tiles[index] for index in indices]),
            np.concatenate([np.full(len(tiles[index]), index, np.int64) for index in indices]),
        )
        for part, indices in members.items()
    }


def tiles_of(content: bytes) -> NDArray[np.uint8]:
    """A picture's tiles, `(n, 128, 128, 3)`, row by row."""
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    share = SHORTER / min(picture.size)
    if share < 1:
        picture = picture.resize((round(picture.width * share), round(picture.height * share)), Image.Resampling.BOX)
    pixels = np.asarray(picture)
    down, across = (size // SIDE for size in pixels.shape[:2])
    cut = pixels[: down * SIDE, : across * SIDE].reshape(down, SIDE, across, SIDE, 3).swapaxes(1, 2)
    tiles = cut.reshape(-1, SIDE, SIDE, 3)
    distinct, first = np.unique(tiles.reshape(len(tiles), -1), axis=0, return_index=True)
    kept = sorted(index for row, index in zip(distinct, first.tolist(), strict=True) if row.min() < row.max())
    return np.ascontiguousarray(tiles[kept])
