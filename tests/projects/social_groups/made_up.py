"""A few scenes in place of the prepared sets, and small configs, for tests of whole cells."""

from pathlib import Path

import numpy as np

from projects.social_groups.analyses.shortcuts import WORLDS
from projects.social_groups.config import PROJECT
from regard_lab.data.annotated_frames import Frame, scenes_of
from regard_lab.data.crowds import generate
from regard_lab.data.scenes import Scenes
from regard_lab.data.sets import social_cad, statsbomb, volleyball
from tests.configs import configs_of

ROOT = Path(__file__).resolve().parents[3]
SMALL = ("training.epochs=1", "training.batch_size=4", "model.width=16", "model.groups=3", "model.feed_forward=16")
SIZES = {"train": 12, "validation": 6, "test": 8}

config_of = configs_of(PROJECT, default="experiment=court")


def football(n: int) -> Scenes:
    """Moments of the right shapes: one team in the left half, the other in the right."""
    rng = np.random.default_rng(0)
    players = [
        [
            {"location": [float(x), float(y)], "teammate": k < 7, "actor": k == 0, "keeper": k == 13}
            for k, (x, y) in enumerate(rng.uniform([0, 0], [120, 80], (14, 2)))
        ]
        for _ in range(n)
    ]
    return statsbomb.scenes_of([(one, ("Pass", "Carry", "Shot")[k % 3]) for k, one in enumerate(players)], 0)


def street(n: int, seed: int) -> Scenes:
    """Frames with a pair who do the same and two who stand alone; in every fourth nobody is in a group."""
    rng = np.random.default_rng(seed)
    frames = []
    for index in range(n):
        kind = int(rng.integers(1, 6))
        boxes = [(float(x), 100.0, float(x) + 60, 260.0) for x in rng.uniform(0, 600, 4)]
        groups = [[0, 1]] if index % 4 else []
        frames.append(Frame(1, (720, 480), boxes, [kind, kind, 0, 2], groups, [kind] * len(groups)))
    most = {"persons": social_cad.MOST_PERSONS, "groups": social_cad.MOST_GROUPS}
    return scenes_of(frames, actions=len(social_cad.ACTIONS), **most)


def match(n: int, seed: int) -> Scenes:
    """Frames of ten players, all of them one group."""
    rng = np.random.default_rng(seed)
    frames = []
    for index in range(n):
        boxes = [
            (float(x), float(y), float(x) + 50, float(y) + 100) for x, y in rng.uniform([0, 200], [1200, 500], (10, 2))
        ]
        actions = rng.integers(0, len(volleyball.ACTIONS), 10).tolist()
        frames.append(Frame(1, (1280, 720), boxes, actions, [range(10)], [index % 8]))
    return scenes_of(frames, actions=len(volleyball.ACTIONS), persons=volleyball.MOST_PERSONS, groups=1)


def load(name: str, root: Path, source: str) -> dict[str, Scenes]:
    """What `data.load` gives, made up; the shapes are the real ones."""
    if name == "statsbomb":
        return {part: football(size) for part, size in SIZES.items()}
    if name == "social_cad":
        return {part: street(size, seed) for seed, (part, size) in enumerate(SIZES.items())}
    if name == "volleyball":
        return {part: match(size, seed) for seed, (part, size) in enumerate(SIZES.items())}
    return {
        part: generate(WORLDS[name], k, size, range(4 * k, 4 * k + 4)) for k, (part, size) in enumerate(SIZES.items())
    }
