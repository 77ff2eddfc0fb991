"""Pictures keep every pixel on their way through a result."""

import numpy as np
import pytest

from regard_lab.common.images import decode, encode, grid


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_a_picture_comes_back_as_it_was(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(decode(encode(picture)), picture)
    assert encode(picture) == encode(picture.copy())


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got float64 \(2, 2\)"):
        encode(np.zeros((2, 2)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"got uint8 \(2, 2, 4\)"):
        encode(np.zeros((2, 2, 4), np.uint8))


def test_a_grid_fills_rows_and_leaves_white_between() -> None:
    pictures = np.stack([np.full((2, 3), value, np.uint8) for value in (10, 20, 30)])
    sheet = grid(pictures, columns=2)
    assert sheet.shape == (5, 7)
    assert sheet[0].tolist() == [10, 10, 10, 255, 20, 20, 20]
    assert sheet[2].tolist() == [255] * 7
    assert sheet[4].tolist() == [30, 30, 30, 255, 255, 255, 255]
