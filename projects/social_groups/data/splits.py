"""The splits of a set of scenes: as they were prepared, and painted and cut to the budget for evaluation."""

import functools
import importlib
from pathlib import Path
from types import ModuleType

import numpy as np

from projects.social_groups.config import Budget, Data, Detector
from projects.social_groups.data.detections import detected
from projects.social_groups.data.painting import Maps, Split, maps, tensors
from regard_lab import data
from regard_lab.data.scenes import Scenes

PARTS = ("train", "validation", "test")


def splits(config: Data, budget: Budget, root: Path) -> dict[str, Split]:
    """The validation and test splits, cut to the budget; painted once per process.

    Raises:
        ValueError: A group has more members than the model has slots.
    """
    key = (config.name, config.source, config.grid, config.channels, config.noise, config.members)
    errors = config.detector
    return _painted(
        key,
        (errors.moved, errors.stretched, errors.missed, errors.false_boxes, errors.misread),
        budget.test_scenes,
        root,
    )


def scenes_of(config: Data, root: Path) -> dict[str, Scenes]:
    """The splits as they were prepared."""
    loaded: dict[str, Scenes] = data.load(config.name, root, config.source)
    return loaded


def module_of(name: str) -> ModuleType:
    """The module of a set of scenes: its `TRAITS` and `ACTIVITIES` and, of a generated set, its `WORLD` and `TEMPLATES`."""
    return importlib.import_module(data.module_name(name))


def traits_of(name: str) -> tuple[str, ...]:
    """The names of the traits of a set of scenes."""
    traits: tuple[str, ...] = module_of(name).TRAITS
    return traits


def shown(
    scenes: Scenes,
    names: tuple[str, ...],
    key: tuple[tuple[int, int], int, float],
    detector: Detector,
    seed: tuple[int, ...],
) -> Maps:
    """The maps of scenes as a detector sees them: (grid, channels, noise) and its errors, all drawn from the seed."""
    seen = detected(scenes, detector, np.random.default_rng([*seed, 1])) if detector.errs else scenes
    return maps(seen, names, *key, seed=seed)


def check_sizes(scenes: Scenes, members: int) -> None:
    """Refuse scenes with a group that the model has too few slots for: its last members could not be told."""
    groups = scenes.groups.astype(int)
    most = max(int((groups == index).sum(1).max(initial=0)) for index in range(scenes.activities.shape[1]))
    if most > members:
        raise ValueError(f"a group has {most} members, the model has slots for {members}")


@functools.lru_cache(maxsize=2)
def _painted(
    key: tuple[str, str, tuple[int, int], int, float, int],
    errors: tuple[float, float, float, int, float],
    test_scenes: int | None,
    root: Path,
) -> dict[str, Split]:
    name, source, grid, channels, noise, members = key
    loaded = data.load(name, root, source)
    split = {}
    for index, part in enumerate(PARTS[1:], start=1):
        scenes = loaded[part][:test_scenes]
        check_sizes(scenes, members)
        painted = shown(scenes, traits_of(name), (grid, channels, noise), Detector(*errors), seed=(index,))
        split[part] = tensors(scenes, painted)
    return split
