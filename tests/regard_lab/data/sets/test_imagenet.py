"""ImageNet out of folders, one per class."""

from pathlib import Path

from regard_lab.data.sets import imagenet


def test_classes_are_folders(two_folders_of_pictures: Path) -> None:
    pictures = imagenet.from_folder(two_folders_of_pictures)["test"]
    assert pictures.labels.tolist() == [0, 0, 1]
    middle = pictures.images.shape[1] // 2
    assert pictures.images[:, middle, middle].tolist() == [[255, 0, 0], [0, 0, 255], [0, 255, 0]]
