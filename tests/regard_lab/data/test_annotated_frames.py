"""Annotated frames as scenes."""

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.annotated_frames import Frame, scenes_of


def frame(**changes) -> Frame:
    whole = {
        "source": 7, "size": (200, 100), "boxes": [(20.0, 10.0, 40.0, 60.0), (-10.0, 0.0, 10.0, 120.0), (100.0, 50.0, 200.0, 100.0)],
        "actions": [2, 0, 1], "groups": [[0, 2]], "activities": [3],
    }  # fmt: skip
    return Frame(**whole | changes)


def test_a_frame_by_hand():
    scenes = scenes_of([frame(), frame(groups=[], activities=[])], actions=3, persons=4, groups=2)
    assert scenes.boxes[0].tolist() == [
        [1500, 3500, 1000, 5000],
        [250, 5000, 500, 10000],
        [7500, 7500, 5000, 5000],
        [0, 0, 0, 0],
    ]
    assert scenes.groups.tolist() == [[0, -1, 0, -2], [-1, -1, -1, -2]]
    assert scenes.activities.tolist() == [[3, -1], [-1, -1]]
    assert scenes.actions[0].tolist() == [2, 0, 1, 0]
    assert scenes.traits[0].tolist() == [[0, 0, 1000], [1000, 0, 0], [0, 1000, 0], [0, 0, 0]]
    assert scenes.templates.tolist() == [7, 7]


def test_what_does_not_fit_is_refused_with_its_numbers():
    with pytest.raises(UserError, match="video 7 has 3 persons in 1 groups, at most 2 in 2"):
        scenes_of([frame()], actions=3, persons=2, groups=2)
    with pytest.raises(UserError, match="video 7 has a box outside of its 200 × 100 pixels"):
        scenes_of(
            [frame(boxes=[(250.0, 0.0, 260.0, 10.0)], actions=[0], groups=[], activities=[])],
            actions=3,
            persons=2,
            groups=1,
        )
