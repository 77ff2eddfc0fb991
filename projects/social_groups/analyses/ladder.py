"""The ladder of sanity: the same question with less and less given, so that a fall shows what is hard.

given_members   who belongs together is given, and what is painted for each: a mean over members names the group's activity
given_persons   the persons are given, and what is painted for each: a transformer over them finds groups and activities
none            the maps alone: the network of the other tables

All three see the same training scenes, as many steps of them, and are judged by the same metrics with true boxes.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from projects.social_groups.analyses.actors import Actors, SetTransformer, labels_of, set_guesses, set_loss
from projects.social_groups.analyses.floors import judged
from projects.social_groups.config import Config
from projects.social_groups.data.fresh import EpochBatches, FreshScenes
from projects.social_groups.data.mirror import chosen, mirrored
from projects.social_groups.data.painting import codes
from projects.social_groups.data.splits import module_of, scenes_of
from projects.social_groups.tasks import metrics
from projects.social_groups.tasks.evaluation import truths
from projects.social_groups.tasks.metrics import Guess, Scene, Truth
from projects.social_groups.tasks.recognition import train
from regard_lab.data.scenes import NOBODY, PLACES, Scenes
from regard_lab.experiment.run_result import RunResult

METRICS = ("scene_acc", "gid_acc", "gid_acc_half", "membership_acc", "social_acc", "member_f1")
CURVE = "validation_scene_acc"
HIDDEN, RATE = 64, 2e-3


class MeanOfMembers(nn.Module):
    """Members `(n, p, numbers)` and which there are `(n, p)` -> logits of their group's activity `(n, kinds)`."""

    def __init__(self, numbers: int, kinds: int) -> None:
        super().__init__()
        self.member = nn.Sequential(nn.Linear(numbers, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN))
        self.group = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, kinds))

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        share = there / there.sum(1, keepdim=True).clamp(min=1)
        logits: Tensor = self.group((self.member(x) * share[..., None]).sum(1))
        return logits


def measure(config: Config, folder: Path) -> RunResult:
    """One rung: what is given is the config's `probe`.

    Args:
        config: The cell's config.
        folder: Where the network's checkpoints go.

    Returns:
        The metrics of the trained tables that every rung has, and the curve of validation scenes that are named right.
    """
    if config.probe == "none":
        whole = train(config, folder)
        return RunResult({name: whole.metrics[name] for name in METRICS}, {CURVE: whole.curves[CURVE]})
    torch.manual_seed(config.seed)
    root, most = Path.cwd(), config.budget.test_scenes
    loaded = scenes_of(config.data, root)
    network, loss, guesses = rung(config)
    adam = torch.optim.AdamW(network.parameters(), lr=RATE)
    fresh, curve = FreshScenes(config.data, config.budget, root), []
    batches = EpochBatches(len(fresh), config.training.batch_size, config.seed)
    best, kept = -1.0, network.state_dict()
    for epoch in range(config.training.epochs):
        network.train()
        batches.set_epoch(epoch)
        for _, indices in batches:
            adam.zero_grad()
            torch.autograd.backward(loss(scenes_at(fresh, epoch, indices, config)))
            adam.step()
        network.eval()
        curve.append(metrics.mean(guesses(loaded["validation"][:most]), metrics.scene_right))
        if curve[-1] > best:
            best, kept = curve[-1], {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(kept)
    network.eval()
    return RunResult(judged(guesses(loaded["test"][:most])).metrics, {CURVE: curve})


def rung(config: Config) -> tuple[nn.Module, Callable[[Scenes], Tensor], Callable[[Scenes], list[Scene]]]:
    """The network of a rung, its loss, and what it says of scenes."""
    numbers, kinds = config.data.channels + 4, config.data.activities
    if config.probe == "given_members":
        members = MeanOfMembers(numbers, kinds)
        return members, partial(members_loss, members, config=config), partial(members_guesses, members, config=config)
    persons = SetTransformer(numbers, kinds)
    return persons, partial(persons_loss, persons, config=config), partial(persons_guesses, persons, config=config)


def scenes_at(fresh: FreshScenes, epoch: int, indices: tuple[int, ...], config: Config) -> Scenes:
    """The scenes of a batch, half of them in a mirror, not painted."""
    scenes = Scenes(**{name: array[list(indices)] for name, array in fresh.of_epoch(epoch).arrays().items()})
    if not config.data.mirror:
        return scenes
    module = module_of(config.data.name)
    turned = np.random.default_rng([epoch, *indices]).random(len(indices)) < 0.5
    return chosen(scenes, mirrored(scenes, module.TRAITS, module.ACTIVITIES), turned)


def numbers_of(scenes: Scenes, config: Config) -> Tensor:
    """What is painted for each person, and the box, `(n, p, channels + 4)`."""
    painted = codes(scenes, module_of(config.data.name).TRAITS, config.data.channels)
    return torch.from_numpy(np.concatenate((scenes.boxes.astype(np.float32) / PLACES, painted), axis=-1))


def known_of(scenes: Scenes) -> list[Truth]:
    """The truth of each scene."""
    return truths(*(torch.from_numpy(array.astype(np.int64)) for array in (scenes.groups, scenes.activities)))


def of_persons(scenes: Scenes, config: Config) -> tuple[Actors, tuple[Tensor, ...]]:
    """The persons of scenes, as the set transformer takes them."""
    groups, numbers = scenes.groups.astype(int), numbers_of(scenes, config)
    persons = Actors(numbers[..., :4].numpy(), scenes.actions, groups != NOBODY, groups, known_of(scenes))
    own = np.where(groups >= 0, np.take_along_axis(scenes.activities.astype(int), np.maximum(groups, 0), axis=1), -1)
    arrays = (persons.there, groups, own, labels_of(persons))
    return persons, (numbers, *(torch.from_numpy(array) for array in arrays))


def persons_loss(network: SetTransformer, scenes: Scenes, config: Config) -> Tensor:
    """That of the set transformer."""
    return set_loss(network, *of_persons(scenes, config)[1])


def persons_guesses(network: SetTransformer, scenes: Scenes, config: Config) -> list[Scene]:
    """The groups and activities that the set transformer finds."""
    return set_guesses(network, *of_persons(scenes, config))


def members_loss(network: MeanOfMembers, scenes: Scenes, config: Config) -> Tensor:
    """Cross entropy of every true group's activity."""
    row, group = np.nonzero(scenes.activities >= 0)
    label = torch.from_numpy(scenes.activities[row, group].astype(np.int64))
    return F.cross_entropy(named_groups(network, scenes, config, row, group), label)


def named_groups(
    network: MeanOfMembers, scenes: Scenes, config: Config, row: NDArray[np.int64], group: NDArray[np.int64]
) -> Tensor:
    """The logits of true groups, by their scene and index."""
    there = torch.from_numpy((scenes.groups[row] == group[:, None]).astype(np.float32))
    logits: Tensor = network(numbers_of(scenes, config)[torch.from_numpy(row)], there)
    return logits


@torch.no_grad()
def members_guesses(network: MeanOfMembers, scenes: Scenes, config: Config) -> list[Scene]:
    """Every true group with the activity that the network names."""
    row, group = np.nonzero(scenes.activities >= 0)
    scores = 0.5 + named_groups(network, scenes, config, row, group).softmax(-1) / 2  # each is said to be a group
    known = known_of(scenes)
    guesses: list[list[Guess]] = [[] for _ in known]
    order: list[int] = [0] * len(known)
    for n, score in zip(row.tolist(), scores.tolist(), strict=True):
        guesses[n].append(Guess(tuple(score), known[n].groups[order[n]]))
        order[n] += 1
    return list(zip(guesses, known, strict=True))
