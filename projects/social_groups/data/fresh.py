"""Training batches that are made anew in each epoch: other scenes where a generator makes them, other noise, half of
them in a mirror, and the camera elsewhere.

What a batch holds depends on the epoch and on the indices of its scenes alone, so that a resumed run sees what an uninterrupted one sees.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset

from projects.social_groups.config import Budget, Data
from projects.social_groups.data.camera import moved
from projects.social_groups.data.mirror import chosen, mirrored
from projects.social_groups.data.painting import Split, tensors
from projects.social_groups.data.splits import check_sizes, module_of, scenes_of, shown
from regard_lab.data.crowds import generate
from regard_lab.data.scenes import Scenes
from regard_lab.training.trainer import Batches

Batch = tuple[int, tuple[int, ...]]
TRAIN = 0  # the number of the training split, part of a generated scene's seed


class EpochBatches(Batches):
    """The batches of `Batches`, each with the number of its epoch."""

    def __iter__(self) -> Iterator[Any]:
        for indices in super().__iter__():
            yield self.epoch, tuple(indices)


class FreshScenes(Dataset[Split]):
    """Painted batches of training scenes, asked for by epoch and indices.

    Args:
        config: The scenes, how they are painted, and what is done anew.
        budget: How many scenes an epoch has, and after how many epochs scenes recur.
        root: The folder of the repository.

    Raises:
        ValueError: A group has more members than the model has slots; new scenes are asked for of a set that no generator makes.
    """

    def __init__(self, config: Data, budget: Budget, root: Path) -> None:
        self.config, self.module = config, module_of(config.name)
        self.prepared = scenes_of(config, root)["train"][: budget.train_scenes]
        self.epochs = budget.fresh_epochs
        if self.epochs > 1 and not hasattr(self.module, "WORLD"):
            raise ValueError(f"no generator makes {config.name}: budget.fresh_epochs must be 1, got {self.epochs}")
        check_sizes(self.prepared, config.members)

    def __len__(self) -> int:
        return len(self.prepared)

    def of_epoch(self, epoch: int) -> Scenes:
        """The scenes of an epoch: the prepared ones first, then those that the generator makes next."""
        turn = epoch % self.epochs
        return made(self.config.name, len(self), turn) if turn else self.prepared

    def __getitem__(self, batch: Batch) -> Split:
        epoch, indices = batch
        every = self.of_epoch(epoch)
        scenes = Scenes(**{name: array[list(indices)] for name, array in every.arrays().items()})
        seed = (len(indices), TRAIN, epoch, *indices)
        if self.config.mirror:
            turned = np.random.default_rng([*seed, 2]).random(len(indices)) < 0.5
            scenes = chosen(scenes, mirrored(scenes, self.module.TRAITS, self.module.ACTIVITIES), turned)
        if self.config.camera.moves:
            scenes = moved(scenes, self.config.camera, np.random.default_rng([*seed, 3]))
        key = (self.config.grid, self.config.channels, self.config.noise)
        return tensors(scenes, shown(scenes, self.module.TRAITS, key, self.config.detector, seed))


@functools.lru_cache(maxsize=32)
def made(name: str, scenes: int, turn: int) -> Scenes:
    """The generator's training scenes number `turn · scenes` and on."""
    module = module_of(name)
    return generate(module.WORLD, TRAIN, scenes, module.TEMPLATES["train"], first=turn * scenes)


def training_batches(config: Data, budget: Budget, batch_size: int, seed: int, root: Path) -> DataLoader[Split]:
    """Batches of the training split, in an order of their own per epoch."""
    scenes = FreshScenes(config, budget, root)
    return DataLoader(scenes, sampler=EpochBatches(len(scenes), batch_size, seed), batch_size=None)
