"""Scenes: read back as they were written, and known by their persons in any order."""

import numpy as np

from regard_lab.data.scenes import NOBODY, Scenes
from tests.regard_lab.data.round_trip import round_trip


def test_a_split_is_written_and_read_back(made, tmp_path):
    _, scenes = made
    back = round_trip(scenes[:3], tmp_path, "test")
    assert len(back) == 3
    assert all(np.array_equal(array, scenes.arrays()[name][:3]) for name, array in back.arrays().items())


def test_keys_forget_the_order_of_persons_and_what_they_look_like(made):
    _, scenes = made
    one = scenes[:1]
    turned = Scenes(one.boxes[:, ::-1], one.traits, one.actions, one.groups[:, ::-1], one.activities, one.templates)
    moved = one.boxes.copy()
    moved[0, np.flatnonzero(one.groups[0] != NOBODY)[0], 0] += 1
    other = Scenes(moved, one.traits, one.actions, one.groups, one.activities, one.templates)
    assert list(one.keys()) == list(turned.keys()) != list(other.keys())
