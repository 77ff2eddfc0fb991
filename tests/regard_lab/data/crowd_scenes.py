"""What tests of generated crowds read from their scenes."""

from collections.abc import Iterator

import numpy as np

from regard_lab.data.crowds import TRAITS
from regard_lab.data.scenes import NO_GROUP, UNIT, Scenes

TEMPLATES = range(5)


def columns(scenes: Scenes) -> dict[str, np.ndarray]:
    return {name: scenes.traits[..., number] / UNIT for number, name in enumerate(TRAITS)}


def groups_of(scenes: Scenes) -> Iterator[tuple[int, np.ndarray, int]]:
    for scene, activities in enumerate(scenes.activities):
        for group in np.flatnonzero(activities != NO_GROUP):
            yield scene, np.flatnonzero(scenes.groups[scene] == group), int(activities[group])
