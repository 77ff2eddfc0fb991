"""What a referee would compute in ten minutes, on the very test scenes of a cell and by its own metrics."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from projects.social_groups.analyses.shortcuts import by_chance, by_distance
from projects.social_groups.config import Config
from projects.social_groups.data.splits import scenes_of
from projects.social_groups.tasks import metrics
from projects.social_groups.tasks.evaluation import truths
from projects.social_groups.tasks.metrics import Guess, Scene, Truth
from regard_lab.data.scenes import Scenes
from regard_lab.experiment.run_result import RunResult

Grouping = Callable[[Scenes, int, Truth], list[Guess]]


def one_group(config: Config, folder: Path) -> RunResult:
    """Everybody in one group, which does what most training groups do."""
    return _scored(config, lambda scenes, n, truth: [Guess((1.0,), truth.persons)])


def nobody(config: Config, folder: Path) -> RunResult:
    """Everybody outside of all groups."""
    return _scored(config, lambda scenes, n, truth: [])


def at_random(config: Config, folder: Path) -> RunResult:
    """Groups of the true sizes, of persons drawn at random."""
    return _scored(config, lambda scenes, n, truth: by_chance(truth, np.random.default_rng([config.seed, n])))


def distance(config: Config, folder: Path) -> RunResult:
    """Spectral clustering of the places, told how many groups there are and how large."""
    return _scored(config, lambda scenes, n, truth: by_distance(scenes, n, truth, config.seed))


def _scored(config: Config, grouping: Grouping) -> RunResult:
    """The metrics of a grouping of the test scenes in %; every group is said to do what most groups of the training split do."""
    parts, budget = scenes_of(config.data, Path.cwd()), config.budget
    train, test = parts["train"][: budget.train_scenes], parts["test"][: budget.test_scenes]
    most = int(np.bincount(train.activities[train.activities >= 0].astype(np.int64)).argmax())
    named = tuple(float(activity == most) for activity in range(config.data.activities))
    known = truths(torch.from_numpy(test.groups.astype(np.int64)), torch.from_numpy(test.activities.astype(np.int64)))
    return judged(
        [([Guess(named, guess.members) for guess in grouping(test, n, truth)], truth) for n, truth in enumerate(known)]
    )


def judged(scenes: list[Scene]) -> RunResult:
    """The metrics of guesses in %, by the functions that judge a trained network."""
    grouped = [scene for scene in scenes if scene[1].groups]
    shares = {
        "scene_acc": metrics.mean(grouped, metrics.scene_right),
        "gid_acc": metrics.mean(grouped, metrics.group_right),
        "gid_acc_half": metrics.mean(grouped, lambda guesses, truth: metrics.group_right(guesses, truth, 0.5)),
        "membership_acc": metrics.mean(scenes, lambda guesses, truth: metrics.persons_right(guesses, truth, False)),
        "social_acc": metrics.mean(scenes, lambda guesses, truth: metrics.persons_right(guesses, truth, True)),
        "member_f1": metrics.member_f1(scenes),
    }
    return RunResult({name: 100 * value for name, value in shares.items()})
