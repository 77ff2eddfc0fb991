"""Labelled images that stay in their file until they are read: sets of many gigabytes, shared by all processes."""

from pathlib import Path

import numpy as np

from regard_lab.data.images import Images


class MappedImages(Images):
    """`Images` whose pictures are mapped from their file."""

    @classmethod
    def read(cls, folder: Path, split: str) -> "MappedImages":
        """Map the pictures of a split (writes go to memory alone, so that torch takes the array as it is) and read its labels."""
        pictures = np.load(folder / f"{split}_images.npy", mmap_mode="c")
        return cls(pictures, np.load(folder / f"{split}_labels.npy"))
