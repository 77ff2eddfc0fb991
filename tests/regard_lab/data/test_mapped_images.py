"""Mapped images: read without a copy, and safe to write to."""

from pathlib import Path

import numpy as np

from regard_lab.data.mapped_images import MappedImages
from tests.regard_lab.data.round_trip import round_trip


def test_pictures_stay_in_their_file(tmp_path: Path) -> None:
    images = MappedImages(np.full((2, 4, 4, 3), 7, np.uint8), np.array([1, 0]))
    again = round_trip(images, tmp_path, "train")
    assert isinstance(again.images, np.memmap)
    assert np.array_equal(again.images, images.images)
    again.images[:] = 0  # in memory alone
    assert np.load(tmp_path / "train_images.npy").max() == 7
