"""CelebA-HQ: 30,000 pictures of faces, made 128 × 128."""

from pathlib import Path

import numpy as np

from regard_lab.data.card import Card, Source
from regard_lab.data.images import Images
from regard_lab.data.mapped_images import MappedImages
from regard_lab.data.photographs_in_folders import of_folder

FORM = MappedImages
SIZE = 128

CARD = Card(
    name="celeba_hq",
    title="CelebA-HQ, as in CelebAMask-HQ",
    stands_in_for=None,
    licence="for non-commercial research",
    citation="Lee, Liu, Wu, Luo: MaskGAN: Towards Diverse and Interactive Facial Image Manipulation. CVPR 2020.",
    homepage="https://github.com/switchablenorms/CelebAMask-HQ",
    sources=(Source("folder", "the pictures of CelebA-HQ-img (0.jpg … 29999.jpg)", {"train": 30_000}),),
    note="Made 128 × 128. There is one split: generators are trained on all pictures and compared with all, as far as is known of the paper.",
)


def from_folder(folder: Path) -> dict[str, Images]:
    """All pictures, by name; they have no classes."""
    pictures = of_folder(folder, SIZE)
    return {"train": Images(pictures, np.zeros(len(pictures), np.int64))}
