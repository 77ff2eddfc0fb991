"""The splits of a set of scenes as tensors, ready for the model.

maps        (n, channels, rows, columns) float32
boxes       (n, p, 4) float32, centre x, centre y, width, height in parts of the frame
actions     (n, p) int64
groups      (n, p) int64: number of the group, −1 outsider, −2 nobody
activities  (n, g) int64, −1 no such group
"""

import functools
import importlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from projects.social_groups.config import Budget, Data
from projects.social_groups.features import maps
from regard_lab import data
from regard_lab.data.scenes import PLACES, Scenes

Split = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
PARTS = ("train", "validation", "test")


def scenes_of(config: Data, root: Path) -> dict[str, Scenes]:
    """The splits as they were prepared."""
    loaded: dict[str, Scenes] = data.load(config.name, root, config.source)
    return loaded


def traits_of(name: str) -> tuple[str, ...]:
    """The names of the traits of a set of scenes."""
    traits: tuple[str, ...] = importlib.import_module(data.module_name(name)).TRAITS
    return traits


def splits(config: Data, budget: Budget, root: Path) -> dict[str, Split]:
    """The train, validation and test splits, cut to the budget; painted once a process."""
    key = (config.name, config.source, tuple(config.grid), config.channels, config.noise)
    return _painted(key, budget.train_scenes, budget.test_scenes, root)


@functools.lru_cache(maxsize=2)
def _painted(
    key: tuple[str, str, tuple[int, ...], int, float], train_scenes: int | None, test_scenes: int | None, root: Path
) -> dict[str, Split]:
    name, source, (rows, columns), channels, noise = key
    loaded = data.load(name, root, source)
    most = {"train": train_scenes, "validation": test_scenes, "test": test_scenes}
    found = {}
    for number, part in enumerate(PARTS):
        scenes = loaded[part][: most[part]]
        painted = maps(scenes, traits_of(name), (rows, columns), channels, noise, seed=(number,))
        found[part] = tensors(scenes, painted)
    return found


def tensors(scenes: Scenes, painted: np.ndarray) -> Split:
    """Scenes and their maps as tensors."""
    boxes = torch.from_numpy(scenes.boxes.astype(np.float32) / PLACES)
    whole = (torch.from_numpy(array.astype(np.int64)) for array in (scenes.actions, scenes.groups, scenes.activities))
    actions, groups, activities = whole
    return torch.from_numpy(painted), boxes, actions, groups, activities
