"""FFHQ: 70,000 photographs of faces, 128 × 128."""

from pathlib import Path

import numpy as np

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.images import Images
from regard_lab.data.mapped_images import MappedImages
from regard_lab.data.photographs_in_folders import ENDINGS, of_paths

FORM = MappedImages
SIZE = 128
SIZES = {"train": 70_000}

CARD = Card(
    name="ffhq",
    title="FFHQ (Flickr-Faces-HQ), 128 × 128",
    stands_in_for=None,
    licence="CC BY-NC-SA 4.0 for the set; each photograph has a licence of its own, all allow non-commercial use",
    citation="Karras, Laine, Aila: A Style-Based Generator Architecture for Generative Adversarial Networks. CVPR 2019.",
    homepage="https://github.com/NVlabs/ffhq-dataset",
    sources=(Source("folder", "thumbnails128x128 (00000/00000.png …), or larger pictures in the same folders", SIZES),),
    note="One split: models are trained on FFHQ and tested on CelebA-HQ.",
)


def from_folder(folder: Path) -> dict[str, Images]:
    """All pictures below the folder, by name; they have no classes."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if not paths:
        raise UserError(f"{folder} and its folders hold no picture ({', '.join(ENDINGS)})")
    pictures = of_paths(paths, SIZE)
    return {"train": MappedImages(pictures, np.zeros(len(pictures), np.int64))}
