"""Scenes as a camera elsewhere would have shown them: nearer or farther away, and turned a little.

What is learnt from the frames of a few videos is easily the videos: where their people walk. Who belongs to whom does
not change with the camera.
"""

from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from projects.social_groups.config import Camera
from regard_lab.data.scenes import NOBODY, PLACES, Scenes


def moved(scenes: Scenes, camera: Camera, rng: Generator) -> Scenes:
    """Every scene magnified about the middle of the frame and shifted, each by a draw of its own.

    Nobody's centre leaves the frame: a magnification is at most what fits, a shift ends where the outermost person would leave.

    Args:
        scenes: n scenes.
        camera: The largest logarithm of the magnification, the largest shift as a fraction of the frame.
        rng: What both are drawn from.

    Returns:
        The same persons, groups and labels, in other boxes.
    """
    there = (scenes.groups != NOBODY)[..., None]
    boxes = scenes.boxes.astype(np.float64) / PLACES
    centres = boxes[..., :2]
    low = np.where(there, centres, np.inf).min(axis=1, initial=0.5)
    high = np.where(there, centres, -np.inf).max(axis=1, initial=0.5)
    zoom = np.exp(rng.uniform(-camera.zoom, camera.zoom, len(boxes)))
    zoom = np.minimum(zoom, 1 / np.maximum(high - low, 1e-6).max(axis=1))
    low, high = (0.5 + zoom[:, None] * (edge - 0.5) for edge in (low, high))
    shift = np.clip(rng.uniform(-camera.pan, camera.pan, low.shape), -low, 1 - high)
    centres = 0.5 + zoom[:, None, None] * (centres - 0.5) + shift[:, None]
    return replace(
        scenes, boxes=_whole(np.concatenate((centres, zoom[:, None, None] * boxes[..., 2:]), axis=-1), there)
    )


def _whole(boxes: NDArray[np.float64], there: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Fractions of the frame in whole ten-thousandths, with an extent; zeros where nobody is."""
    clipped = np.clip(np.round(PLACES * boxes), [0, 0, 1, 1], PLACES)
    whole: NDArray[np.int16] = np.where(there, clipped, 0).astype(np.int16)
    return whole
