"""Pictures in folders: one class per folder, cut to the middle square."""

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.photographs_in_folders import in_classes


def test_folders_are_classes_in_their_order(two_folders_of_pictures: Path) -> None:
    found = in_classes(two_folders_of_pictures, 2)
    assert found.labels.tolist() == [0, 0, 1]
    assert found.images.shape == (3, 2, 2, 3)
    assert found.images[:, 0, 0].tolist() == [[255, 0, 0], [0, 0, 255], [0, 255, 0]]


def test_what_is_wrong_with_a_folder_is_said(two_folders_of_pictures: Path) -> None:
    with pytest.raises(UserError, match="holds no folders"):
        in_classes(two_folders_of_pictures / "n1", 2)
    (two_folders_of_pictures / "n1" / "2.jpg").write_bytes(b"no")
    with pytest.raises(UserError, match=r"2\.jpg is not a picture"):
        in_classes(two_folders_of_pictures, 2)
