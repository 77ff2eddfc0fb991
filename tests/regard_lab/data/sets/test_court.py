"""Court: where the leader stands, and how large groups are."""

import numpy as np

from regard_lab.data.crowds import generate
from regard_lab.data.scenes import PLACES
from regard_lab.data.sets import court
from tests.regard_lab.data.crowd_scenes import TEMPLATES, columns, groups_of


def test_the_leader_of_court_stands_on_the_side_that_the_activity_names():
    scenes = generate(court.WORLD, 0, 100, TEMPLATES)
    leader, x = columns(scenes)["leader"], scenes.boxes[..., 0] / PLACES
    for scene, members, activity in groups_of(scenes):
        (first,) = members[leader[scene, members] > 0]
        others = members[members != first]
        assert (x[scene, first] > x[scene, others].mean()) == (activity < 4)


def test_sizes_follow_the_requested_distribution():
    scenes = generate(court.WORLD, 3, 1_000, TEMPLATES)
    sizes = np.array([len(members) for _, members, _ in groups_of(scenes)])
    for size, share in court.WORLD.sizes.items():
        assert abs((sizes == size).mean() - share) < 4 * np.sqrt(share * (1 - share) / len(sizes))
    activities = scenes.activities[:, 0]
    for activity in range(8):  # what a group does says nothing of its size
        assert abs(sizes[activities == activity].mean() - 4) < 4 * np.sqrt(2 / (activities == activity).sum())
