"""From scenes to what the transformer reads: tensors, and maps into which every person is painted, with noise.

maps        (n, channels, rows, columns) float32
boxes       (n, p, 4) float32, centre x, centre y, width, height as fractions of the frame
actions     (n, p) int64
groups      (n, p) int64: index of the group, −1 outsider, −2 nobody
activities  (n, g) int64, −1 no such group

The maps stand for a backbone's pooled features: on Court 24 channels at stride 8 of a frame of 96 × 160. What can be
seen of a person is painted over the ellipse of the box, farthest first, so that whoever stands in front hides whoever
stands behind.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard_lab.data.scenes import NOBODY, PLACES, UNIT, Scenes

Split = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
Maps = NDArray[np.float32]
ANGLE = "heading"  # the one trait that is an angle (in units of π), painted as its cosine and sine


def tensors(scenes: Scenes, painted: Maps) -> Split:
    """Scenes and their maps as tensors."""
    boxes = torch.from_numpy(scenes.boxes.astype(np.float32) / PLACES)
    labels = (torch.from_numpy(array.astype(np.int64)) for array in (scenes.actions, scenes.groups, scenes.activities))
    actions, groups, activities = labels
    return torch.from_numpy(painted), boxes, actions, groups, activities


def codes(scenes: Scenes, names: tuple[str, ...], channels: int) -> Maps:
    """What is painted for each person: presence, then the traits; the channels that remain hold noise alone.

    Args:
        scenes: n scenes of at most p persons.
        names: The names of their traits.
        channels: How many channels a map has.

    Returns:
        `(n, p, channels)`.

    Raises:
        ValueError: There are fewer channels than the traits need.
    """
    traits: Maps = scenes.traits.astype(np.float32) / np.float32(UNIT)
    columns: list[Maps] = [np.ones(traits.shape[:2], dtype=np.float32)]
    for index, name in enumerate(names):
        value: Maps = traits[..., index]
        angle = (np.pi * value).astype(np.float32)
        columns += [np.cos(angle), np.sin(angle)] if name == ANGLE else [value]
    if len(columns) > channels:
        raise ValueError(f"{len(names)} traits need {len(columns)} channels, got channels = {channels}")
    return np.pad(np.stack(columns, axis=-1), ((0, 0), (0, 0), (0, channels - len(columns))))


def channel_names(names: tuple[str, ...]) -> list[str]:
    """What each painted channel holds."""
    painted = [[f"{name}_cos", f"{name}_sin"] if name == ANGLE else [name] for name in names]
    return ["presence", *(name for pair in painted for name in pair)]


def maps(
    scenes: Scenes, names: tuple[str, ...], grid: tuple[int, int], channels: int, noise: float, seed: tuple[int, ...]
) -> Maps:
    """The scenes as maps.

    Args:
        scenes: n scenes.
        names: The names of their traits.
        grid: Rows and columns of a map.
        channels: Channels of a map.
        noise: Standard deviation of the noise that is added to every pixel.
        seed: What the noise is drawn from.

    Returns:
        `(n, channels, rows, columns)`.

    Raises:
        ValueError: There are fewer channels than the traits need.
    """
    code = codes(scenes, names, channels)
    boxes = scenes.boxes.astype(np.float32) / PLACES
    there = scenes.groups != NOBODY
    rows, columns = grid
    y = ((np.arange(rows) + 0.5) / rows).astype(np.float32)[None, :, None]
    x = ((np.arange(columns) + 0.5) / columns).astype(np.float32)[None, None, :]
    painted = np.zeros((len(scenes), channels, rows, columns), dtype=np.float32)
    order = np.argsort(boxes[..., 1] + boxes[..., 3] / 2, axis=1)  # the lower the feet, the nearer
    every = np.arange(len(scenes))
    for rank in range(boxes.shape[1]):
        person = order[:, rank]
        box, one = boxes[every, person], code[every, person]
        half = np.maximum(box[:, 2:] / 2, 1e-6)
        offset = ((x - box[:, 0, None, None]) / half[:, 0, None, None]) ** 2
        offset = offset + ((y - box[:, 1, None, None]) / half[:, 1, None, None]) ** 2
        cover = np.where(there[every, person, None, None], np.exp(-offset), 0)[:, None]
        painted = painted * (1 - cover) + cover * one[:, :, None, None]
    painted += noise * np.random.default_rng(list(seed)).standard_normal(painted.shape, dtype=np.float32)
    return painted
