"""From scenes to what the transformer reads: maps over the frame into which every person is painted, with noise.

They stand for the backbone's pooled features: 24 channels at stride 8 of a frame of 96 × 160. What a person looks like is painted over the
ellipse of the box, farthest first, so that who stands in front hides who stands behind.
"""

import numpy as np
from numpy.typing import NDArray

from regard_lab.data.scenes import NOBODY, PLACES, UNIT, Scenes

Maps = NDArray[np.float32]
ANGLE = "heading"  # the one trait that is an angle (in units of π), painted as its cosine and sine


def codes(scenes: Scenes, names: tuple[str, ...], channels: int) -> Maps:
    """What is painted for each person (n, p, channels): presence, then the traits; the channels that are left hold noise alone."""
    traits = scenes.traits.astype(np.float32) / UNIT
    columns = [np.ones(traits.shape[:2], dtype=np.float32)]
    for number, name in enumerate(names):
        value = traits[..., number]
        columns += [np.cos(np.pi * value), np.sin(np.pi * value)] if name == ANGLE else [value]
    if len(columns) > channels:
        raise ValueError(f"{len(names)} traits need {len(columns)} channels, got channels = {channels}")
    found = np.stack(columns, axis=-1)
    return np.pad(found, ((0, 0), (0, 0), (0, channels - len(columns))))


def channel_names(names: tuple[str, ...]) -> list[str]:
    """What each painted channel holds."""
    painted = [[f"{name}_cos", f"{name}_sin"] if name == ANGLE else [name] for name in names]
    return ["presence", *(name for pair in painted for name in pair)]


def maps(
    scenes: Scenes, names: tuple[str, ...], grid: tuple[int, int], channels: int, noise: float, seed: tuple[int, ...]
) -> Maps:
    """The maps (n, channels, rows, columns). `noise` is added to every pixel, drawn from `seed`."""
    code = codes(scenes, names, channels)
    boxes = scenes.boxes.astype(np.float32) / PLACES
    there = scenes.groups != NOBODY
    rows, columns = grid
    y = ((np.arange(rows) + 0.5) / rows).astype(np.float32)[None, :, None]
    x = ((np.arange(columns) + 0.5) / columns).astype(np.float32)[None, None, :]
    painted = np.zeros((len(scenes), channels, rows, columns), dtype=np.float32)
    order = np.argsort(boxes[..., 1] + boxes[..., 3] / 2, axis=1)  # the lower the feet, the nearer
    every = np.arange(len(scenes))
    for place in range(boxes.shape[1]):
        person = order[:, place]
        box, one = boxes[every, person], code[every, person]
        half = np.maximum(box[:, 2:] / 2, 1e-6)
        offset = ((x - box[:, 0, None, None]) / half[:, 0, None, None]) ** 2
        offset = offset + ((y - box[:, 1, None, None]) / half[:, 1, None, None]) ** 2
        cover = np.where(there[every, person, None, None], np.exp(-offset), 0)[:, None]
        painted = painted * (1 - cover) + cover * one[:, :, None, None]
    painted += noise * np.random.default_rng(list(seed)).standard_normal(painted.shape, dtype=np.float32)
    return painted
