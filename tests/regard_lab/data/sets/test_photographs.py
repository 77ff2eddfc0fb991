"""The photographs: cut to the middle, in their order, and clear about what is not there."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.data.packages import Archive
from regard_lab.data.sets import photographs
from tests.regard_lab.data.tiny_packages import write_tar


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="png")
    return buffer.getvalue()


def test_the_middle_square_is_resized() -> None:
    picture = np.zeros((30, 50, 3), dtype=np.uint8)
    picture[:, 10:40] = (0, 100, 200)  # the middle square
    found = photographs.square(png(picture))
    assert found.shape == (518, 518, 3)
    assert (found == (0, 100, 200)).all()
    grey = photographs.square(png(np.full((9, 4), 7, dtype=np.uint8)))
    assert (grey == 7).all()


def test_from_the_package_in_the_order_of_the_list(tmp_path: Path) -> None:
    path = tmp_path / "package.tar.gz"
    files = {
        f"scikit_image-1/skimage/data/{name}.png": png(np.full((8, 8), number, dtype=np.uint8))
        for number, name in enumerate(photographs.NAMES)
    }
    write_tar(path, dict(reversed(files.items())))
    (split,) = photographs.from_package(Archive(photographs.CARD.packages[0], path)).values()
    assert split.images[:, 0, 0, 0].tolist() == list(range(10))
    assert split.labels.tolist() == list(range(10))
    files.pop("scikit_image-1/skimage/data/coffee.png")
    write_tar(path, files)
    with pytest.raises(UserError, match="has no picture coffee in skimage/data"):
        photographs.from_package(Archive(photographs.CARD.packages[0], path))


def test_from_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(UserError, match="holds no picture"):
        data.prepare("photographs", tmp_path, "folder", folder)
    (folder / "b.png").write_bytes(png(np.full((8, 8), 2, dtype=np.uint8)))
    (folder / "a.PNG").write_bytes(png(np.full((8, 8), 1, dtype=np.uint8)))
    data.prepare("photographs", tmp_path, "folder", folder)
    assert data.load("photographs", tmp_path, "folder")["test"].images[:, 5, 5, 0].tolist() == [1, 2]
