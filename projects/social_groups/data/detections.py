"""What a detector gives in place of the true persons: boxes moved and stretched, persons missed, boxes of nobody, actions misread.

Only what is painted changes; labels stay those of the true persons, so that whoever is missed must be found from the others.
"""

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from projects.social_groups.config import Detector
from regard_lab.data.scenes import NOBODY, OUTSIDER, PLACES, UNIT, Scenes

LEAST = 10  # ten-thousandths of the frame: a box has an extent


def detected(scenes: Scenes, detector: Detector, rng: Generator) -> Scenes:
    """The scenes as a detector sees them, to be painted and nothing else.

    Args:
        scenes: n scenes of at most p persons, whose traits are one-hot actions if actions are to be misread.
        detector: Its errors.
        rng: What they are drawn from.

    Returns:
        n scenes of the same persons, and as many more as there are false boxes; whoever is missed is `NOBODY` in `groups`.
    """
    n, persons = scenes.groups.shape
    there = scenes.groups != NOBODY
    boxes = scenes.boxes.astype(np.float64)
    boxes[..., :2] += detector.moved * rng.standard_normal((n, persons, 2)) * boxes[..., 2:]
    boxes[..., 2:] *= np.exp(detector.stretched * rng.standard_normal((n, persons, 2)))
    groups = np.where(there & (rng.random((n, persons)) < detector.missed), NOBODY, scenes.groups)
    traits = scenes.traits
    if detector.misread:
        wrong = there & (rng.random((n, persons)) < detector.misread)
        other = (traits.argmax(-1) + rng.integers(1, traits.shape[-1], (n, persons))) % traits.shape[-1]
        traits = np.where(wrong[..., None], UNIT * np.eye(traits.shape[-1], dtype=np.int16)[other], traits)
    seen = replace(scenes, boxes=_whole(boxes, there), groups=groups.astype(np.int8), traits=traits.astype(np.int16))
    return _with_false(seen, detector, rng) if detector.false_boxes else seen


def _with_false(scenes: Scenes, detector: Detector, rng: Generator) -> Scenes:
    """Boxes of nobody: as large as somebody's of the same scene, anywhere in the frame, with traits of somebody else's scene."""
    n, persons = scenes.groups.shape
    many = detector.false_boxes
    like = rng.integers(0, persons, (n, many))
    row = np.arange(n)[:, None]
    boxes = np.concatenate((rng.uniform(0.1, 0.9, (n, many, 2)) * PLACES, scenes.boxes[row, like, 2:]), axis=-1)
    traits = scenes.traits[rng.integers(0, n, (n, 1)), like]
    shown = scenes.boxes[row, like, 2] > 0
    groups = np.where(shown, OUTSIDER, NOBODY).astype(np.int8)
    return replace(
        scenes,
        boxes=np.concatenate((scenes.boxes, _whole(boxes, shown)), axis=1),
        traits=np.concatenate((scenes.traits, traits), axis=1),
        groups=np.concatenate((scenes.groups, groups), axis=1),
        actions=np.concatenate((scenes.actions, np.zeros((n, many), np.int8)), axis=1),
    )


def _whole(boxes: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Boxes in whole ten-thousandths with an extent, zeros where nobody is."""
    clipped = np.clip(np.round(boxes), [0, 0, LEAST, LEAST], PLACES)
    return np.where(there[..., None], clipped, 0).astype(np.int16)
