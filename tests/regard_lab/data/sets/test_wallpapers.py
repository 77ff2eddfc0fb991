"""Wallpapers: a photograph's tiles, and splits by photograph."""

import io

import numpy as np
import pytest
from PIL import Image

from regard_lab.common.errors import UserError
from regard_lab.data.sets import wallpapers


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    return buffer.getvalue()


def test_tiles_by_hand():
    pixels = np.random.default_rng(0).integers(0, 255, (270, 400, 3), np.uint8)
    pixels[:128, 128:256] = 7  # one colour: no tile
    pixels[128:256, :128] = pixels[:128, :128]  # a repeat
    tiles = wallpapers.tiles_of(png(pixels))
    assert tiles.shape == (4, 128, 128, 3)
    assert np.array_equal(tiles[0], pixels[:128, :128])
    assert np.array_equal(tiles[1], pixels[:128, 256:384])
    assert np.array_equal(tiles[3], pixels[128:256, 256:384])


def test_a_large_picture_is_shrunk():
    pixels = np.random.default_rng(0).integers(0, 255, (1536, 1600, 3), np.uint8)
    assert len(wallpapers.tiles_of(png(pixels))) == 6 * 6


def test_a_photograph_is_in_one_split():
    draws = np.random.default_rng(0)
    pictures = [(f"{name}.png", png(draws.integers(0, 255, (128, 256, 3), np.uint8))) for name in "abcdefgh"]
    splits = wallpapers.split(pictures)
    assert {part: len(set(images.labels.tolist())) for part, images in splits.items()} == {
        "train": 2,
        "validation": 3,
        "test": 3,
    }
    assert sorted({label for images in splits.values() for label in images.labels.tolist()}) == list(range(8))
    with pytest.raises(UserError, match="7 photographs are needed"):
        wallpapers.split(pictures[:6])
