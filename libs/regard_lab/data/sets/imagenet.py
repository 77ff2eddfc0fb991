"""ImageNet's validation pictures, 50,000 of 1,000 kinds, made 128 × 128: the real pictures that BigGAN's are compared with."""

from pathlib import Path

from regard_lab.data.card import Card, Source
from regard_lab.data.images import Images
from regard_lab.data.mapped_images import MappedImages
from regard_lab.data.photographs_in_folders import in_classes

FORM = MappedImages
SIZE = 128

CARD = Card(
    name="imagenet",
    title="ImageNet (ILSVRC 2012), validation",
    stands_in_for=None,
    licence="ImageNet's terms of access, for non-commercial research",
    citation="Russakovsky et al.: ImageNet Large Scale Visual Recognition Challenge. IJCV 115, 2015.",
    homepage="https://www.image-net.org/",
    sources=(
        Source(
            "folder",
            "the validation pictures in one folder per class, named by WordNet's numbers (n01440764/…)",
            {"test": 50_000},
        ),
    ),
    note="The largest square of each picture's middle, made 128 × 128. A class's label is the rank of its folder's name.",
)


def from_folder(folder: Path) -> dict[str, Images]:
    """All pictures of all classes."""
    return {"test": in_classes(folder, SIZE)}
