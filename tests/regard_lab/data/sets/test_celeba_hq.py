"""CelebA-HQ out of a folder of faces."""

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import celeba_hq


def test_faces_have_one_class_and_one_size(two_folders_of_pictures: Path) -> None:
    faces = celeba_hq.from_folder(two_folders_of_pictures / "n1")["train"]
    assert faces.images.shape == (2, 128, 128, 3)
    assert faces.images[:, 64, 64].tolist() == [[255, 0, 0], [0, 0, 255]]
    assert faces.labels.tolist() == [0, 0]
    with pytest.raises(UserError, match="holds no picture"):
        celeba_hq.from_folder(two_folders_of_pictures)
