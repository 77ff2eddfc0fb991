"""Plaza: headings tell groups apart."""

import numpy as np

from regard_lab.data.crowds import HEADINGS_APART, generate
from regard_lab.data.sets import plaza
from tests.regard_lab.data.crowd_scenes import TEMPLATES, columns, groups_of


def test_the_groups_of_plaza_have_headings_of_their_own():
    scenes = generate(plaza.WORLD, 0, 100, TEMPLATES)
    heading = columns(scenes)["heading"] * np.pi
    means: dict[int, list[float]] = {}
    for scene, members, _ in groups_of(scenes):
        turns = np.exp(1j * heading[scene, members])
        assert abs(turns.mean()) > 0.95
        means.setdefault(scene, []).append(float(np.angle(turns.mean())))
    for angles in means.values():
        apart = [abs(np.angle(np.exp(1j * (a - b)))) for n, a in enumerate(angles) for b in angles[:n]]
        assert all(angle > HEADINGS_APART / 2 for angle in apart)
