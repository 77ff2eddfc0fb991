"""Pictures for super-resolution: small, resized to the wanted size, and as they should be. Values are from -1 to 1."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from projects.cab.config import Sr
from regard_lab import data
from regard_lab.data.subsets import drawn

Pair = tuple[Tensor, Tensor]


def picture_pairs(task: Sr, source: str) -> dict[str, Pair]:
    """Of each split the pictures as a model sees and as it should make them, both `(n, 3, high, high)`, as many as the task asks for.

    What a model sees is small, `low` × `low`, and resized by cubic interpolation.
    """
    pairs = {}
    for split, images in data.load(task.set, Path.cwd(), source).items():
        rows = sorted(drawn(range(len(images)), task.train_examples if split == "train" else task.held_out_examples))
        pixels = torch.from_numpy(images.images[rows].copy()).movedim(-1, 1).float() / 127.5 - 1
        pairs[split] = resized(pixels, task)
    return pairs


def resized(pixels: Tensor, task: Sr) -> Pair:
    """Pictures `(n, 3, s, s)` -> what a model sees of them, and what it should make, each `(n, 3, high, high)`."""
    wanted = shrunk(pixels, task.high)
    return enlarged(shrunk(wanted, task.low), task.high, "bicubic"), wanted


def shrunk(pixels: Tensor, side: int) -> Tensor:
    """Means over squares: `(n, c, side, side)`.

    Raises:
        ValueError: Pictures that cannot be divided into so many squares.
    """
    if pixels.shape[-1] % side or pixels.shape[-2] != pixels.shape[-1]:
        raise ValueError(f"a picture of {pixels.shape[-2]} × {pixels.shape[-1]} cannot become one of {side} × {side}")
    return F.avg_pool2d(pixels, pixels.shape[-1] // side)


def enlarged(pixels: Tensor, side: int, mode: str) -> Tensor:
    """By interpolation, `bicubic` or `nearest`, within -1 and 1."""
    corners = {} if mode == "nearest" else {"align_corners": False}
    return F.interpolate(pixels, size=(side, side), mode=mode, **corners).clamp(-1, 1)
