"""Scenes as a mirror shows them: left is right, for places, headings, and activities that name a side."""

import numpy as np
from numpy.typing import NDArray

from projects.social_groups.data.painting import ANGLE
from regard_lab.data.scenes import PLACES, UNIT, Scenes

SIDES = ("right", "left")  # the first word of an activity that has a side


def mirrored(scenes: Scenes, traits: tuple[str, ...], activities: tuple[str, ...]) -> Scenes:
    """Mirror every scene.

    Args:
        scenes: n scenes.
        traits: The names of their traits; a heading turns round.
        activities: The names of their activities; "right …" and "left …" change places.
    """
    there = scenes.groups >= -1
    boxes, seen = scenes.boxes.copy(), scenes.traits.copy()
    boxes[..., 0] = np.where(there, PLACES - boxes[..., 0], 0)
    if ANGLE in traits:
        heading = traits.index(ANGLE)
        turned = np.mod(UNIT - seen[..., heading].astype(int) + UNIT, 2 * UNIT) - UNIT
        seen[..., heading] = np.where(there, turned, 0)
    renamed = np.array([*(activities.index(other_side(name)) for name in activities), -1], dtype=np.int8)
    return Scenes(boxes, seen, scenes.actions, scenes.groups, renamed[scenes.activities], scenes.templates)


def other_side(activity: str) -> str:
    """The activity in a mirror: "left spike" for "right spike", itself where no side is named."""
    first, _, rest = activity.partition(" ")
    if first not in SIDES:
        return activity
    return f"{SIDES[1 - SIDES.index(first)]} {rest}"


def chosen(one: Scenes, other: Scenes, take_other: NDArray[np.bool_]) -> Scenes:
    """Row by row the scene of `one` or, where `take_other` is true, that of `other`."""
    arrays = {}
    for name, array in one.arrays().items():
        taken = take_other.reshape(-1, *(1,) * (array.ndim - 1))
        arrays[name] = np.where(taken, getattr(other, name), array)
    return Scenes(**arrays)
