"""FFHQ out of folders of thumbnails."""

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import ffhq


def test_faces_of_all_folders_have_one_class_and_one_size(two_folders_of_pictures: Path, tmp_path: Path) -> None:
    faces = ffhq.from_folder(two_folders_of_pictures)["train"]
    assert faces.images.shape == (3, 128, 128, 3)
    assert faces.images[:, 64, 64].tolist() == [
        [255, 0, 0],
        [0, 0, 255],
        [0, 255, 0],
    ]  # by the names of folder and file
    assert faces.labels.tolist() == [0, 0, 0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="hold no picture"):
        ffhq.from_folder(tmp_path / "empty")
