"""A few scenes in place of the prepared sets, and small configs, for tests of whole cells."""

from pathlib import Path

import numpy as np

from projects.social_groups.analyses.shortcuts import WORLDS
from projects.social_groups.config import PROJECT
from regard_lab.data.crowds import generate
from regard_lab.data.scenes import Scenes
from regard_lab.data.sets import statsbomb
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


def load(name: str, root: Path, source: str) -> dict[str, Scenes]:
    """What `data.load` gives, made up; the shapes are the real ones."""
    if name == "statsbomb":
        return {part: football(size) for part, size in SIZES.items()}
    return {
        part: generate(WORLDS[name], k, size, range(4 * k, 4 * k + 4)) for k, (part, size) in enumerate(SIZES.items())
    }
