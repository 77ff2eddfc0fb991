"""Frames with annotated persons (boxes, actions and groups) as scenes: what two of the field's data sets share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regard_lab.common.errors import UserError
from regard_lab.data.scenes import NO_GROUP, NOBODY, OUTSIDER, PLACES, UNIT, Scenes


@dataclass(frozen=True)
class Frame:
    """One annotated frame.

    Attributes:
        source: The number of its video or sequence.
        size: Width and height in pixels.
        boxes: Left, top, right and bottom of each person, in pixels.
        actions: What each person does, an index.
        groups: The members of each group, as indices of persons; anyone in no group stands alone.
        activities: What each group does, an index.
    """

    source: int
    size: tuple[int, int]
    boxes: Sequence[tuple[float, float, float, float]]
    actions: Sequence[int]
    groups: Sequence[Sequence[int]]
    activities: Sequence[int]


def scenes_of(frames: Sequence[Frame], *, actions: int, persons: int, groups: int) -> Scenes:
    """Frames as scenes; a person's traits are the one-hot action, a scene's template is its video or sequence.

    Args:
        frames: n frames.
        actions: How many actions there are.
        persons: The maximum number of persons in a frame.
        groups: The maximum number of groups in a frame.

    Raises:
        UserError: A frame has too many persons or groups, or a box outside the frame.
    """
    n = len(frames)
    boxes = np.zeros((n, persons, 4))
    done = np.zeros((n, persons), dtype=np.int8)
    group_of = np.full((n, persons), NOBODY, dtype=np.int8)
    activities = np.full((n, groups), NO_GROUP, dtype=np.int8)
    traits = np.zeros((n, persons, actions), dtype=np.int16)
    for row, frame in enumerate(frames):
        count = len(frame.boxes)
        if count > persons or len(frame.groups) > groups:
            raise UserError(
                f"a frame of video {frame.source} has {count} persons in {len(frame.groups)} groups, at most {persons} in {groups} are expected"
            )
        corners = np.array(frame.boxes, dtype=float).reshape(-1, 2, 2) / frame.size
        inside = np.clip(corners, 0, 1)  # annotated boxes reach a little over the edge
        extent = inside[:, 1] - inside[:, 0]
        if count and extent.min() <= 0:
            raise UserError(
                f"a frame of video {frame.source} has a box outside of its {frame.size[0]} × {frame.size[1]} pixels"
            )
        boxes[row, :count] = np.concatenate((inside.mean(1), extent), axis=1)
        done[row, :count] = frame.actions
        traits[row, np.arange(count), list(frame.actions)] = UNIT
        group_of[row, :count] = OUTSIDER
        for index, members in enumerate(frame.groups):
            group_of[row, list(members)] = index
        activities[row, : len(frame.activities)] = frame.activities
    return Scenes(
        np.round(boxes * PLACES).astype(np.int16),
        traits,
        done,
        group_of,
        activities,
        np.array([frame.source for frame in frames], dtype=np.int16),
    )
