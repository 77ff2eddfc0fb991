"""The probes of the table of shortcuts: what can be told of membership and activity by something that should not tell it.

probe       sees                                                          says
distance    places, by spectral clustering with the true number of groups membership
person      one member's traits                                           its group's activity
count       the number of persons                                         the first group's activity
position    the places of all persons, as a histogram over the frame      the first group's activity
looks       the eight appearance numbers of one member                    its group's activity
            (a probe that learns is a network with one hidden layer, trained on the training scenes and asked about the test scenes)
floor       nothing: the majority activity; groups drawn at random        both
rules       the noisy maps at the true centres, read by the world's rules both: what is left to a perfect reader
ceiling     the true traits, read by the world's rules                    both
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from torch import nn

from projects.social_groups.analyses import rules
from projects.social_groups.config import Config
from projects.social_groups.data.painting import codes, maps
from projects.social_groups.data.splits import PARTS, scenes_of, traits_of
from projects.social_groups.tasks import metrics
from projects.social_groups.tasks.evaluation import ASPECT, truths
from projects.social_groups.tasks.metrics import Guess, Truth
from regard_lab.data.crowds import World
from regard_lab.data.scenes import NOBODY, PLACES, UNIT, Scenes
from regard_lab.data.sets import court, plaza
from regard_lab.experiment.run_result import RunResult

Array = NDArray[Any]
WORLDS: dict[str, World] = {"court": court.WORLD, "plaza": plaza.WORLD}
HIDDEN, STEPS, RATE = 64, 300, 3e-3
DRAWS = 20
BINS = (6, 10)


def measure(config: Config, folder: Path) -> RunResult:
    """What the configured probe tells, in %: activities that it names right, persons that it groups right, and both above chance.

    Args:
        config: The cell's config, with a probe.
        folder: Not used.
    """
    world, loaded = WORLDS[config.data.name], scenes_of(config.data, Path.cwd())
    most = {
        "train": config.budget.train_scenes,
        "validation": config.budget.test_scenes,
        "test": config.budget.test_scenes,
    }
    parts = {part: loaded[part][: most[part]] for part in PARTS}
    test = parts["test"]
    known = truths(torch.from_numpy(test.groups.astype(np.int64)), torch.from_numpy(test.activities.astype(np.int64)))
    chance = chance_of(known, config.seed)
    told = {"activity_acc": 100 / len(world.activities), "membership_acc": chance}
    if config.probe in LEARNT:
        told["activity_acc"] = learnt(LEARNT[config.probe], parts, world, config.seed)
    elif config.probe == "distance":
        guesses = [by_distance(test, n, truth, config.seed) for n, truth in enumerate(known)]
        told["membership_acc"] = grouped(guesses, known)
    elif config.probe in ("rules", "ceiling"):
        guesses = by_rules(config, world, test, known)
        told["membership_acc"] = grouped(guesses, known)
        right = [metrics.persons_right(one, truth, True) for one, truth in zip(guesses, known, strict=True)]
        told["activity_acc"] = 100 * float(np.mean(right))
    return RunResult(
        metrics={
            **told,
            "activity_above_chance": told["activity_acc"] - 100 / len(world.activities),
            "membership_above_chance": told["membership_acc"] - chance,
        }
    )


def grouped(guesses: list[list[Guess]], known: list[Truth]) -> float:
    """Persons in the right group (%)."""
    return 100 * metrics.mean(
        list(zip(guesses, known, strict=True)), lambda told, truth: metrics.persons_right(told, truth, False)
    )


def chance_of(known: list[Truth], seed: int) -> float:
    """Persons in the right group (%) when groups of the true sizes are drawn at random; the mean of `DRAWS` draws."""
    draws = (
        [by_chance(truth, np.random.default_rng([seed, n, draw])) for n, truth in enumerate(known)]
        for draw in range(DRAWS)
    )
    return float(np.mean([grouped(guesses, known) for guesses in draws]))


def by_chance(truth: Truth, rng: np.random.Generator) -> list[Guess]:
    """Groups of the true sizes, of persons drawn at random."""
    persons = rng.permutation(sorted(truth.persons)).tolist()
    guesses = []
    for group in truth.groups:
        guesses.append(Guess((1.0,), frozenset(persons[: len(group)])))
        persons = persons[len(group) :]
    return guesses


def by_distance(scenes: Scenes, scene: int, truth: Truth, seed: int) -> list[Guess]:
    """Normalised spectral clustering (Ng, Jordan & Weiss 2002) of the places into groups and outsiders.

    It is told how many groups there are and of which sizes: from the tightest cluster on, each true size takes that
    many of a cluster's persons, those nearest to its centre.

    Args:
        scenes: The scenes.
        scene: Which of them.
        truth: Its truth, for the number of groups and their sizes.
        seed: Of the clustering's starting points.
    """
    persons = sorted(truth.persons)
    places = scenes.boxes[scene, persons, :2].astype(float) / PLACES * [1, ASPECT]
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    affinity = np.exp(-((apart / np.median(apart[apart > 0])) ** 2))
    degree = affinity.sum(1)
    vectors = np.linalg.eigh(affinity / np.sqrt(degree[:, None] * degree[None]))[1]
    many = min(len(truth.groups) + 1, len(persons))
    embedded = vectors[:, -many:]
    embedded = embedded / np.maximum(np.linalg.norm(embedded, axis=1, keepdims=True), 1e-12)
    _, labels = kmeans2(embedded, many, minit="++", rng=np.random.default_rng([seed, scene]), missing="warn")
    reach = {label: apart[np.ix_(labels == label, labels == label)].mean() for label in set(labels.tolist())}
    free, guesses = set(range(len(persons))), []
    # Where there are fewer clusters than groups, some give two: every group is guessed, so that guessing less is no advantage.
    tightest = itertools.cycle(sorted(reach, key=reach.__getitem__))
    for size, label in zip(sorted(map(len, truth.groups), reverse=True), tightest, strict=False):
        centre = places[labels == label].mean(0)
        nearest = sorted(free, key=lambda one: float(np.linalg.norm(places[one] - centre)))[:size]
        free -= set(nearest)
        guesses.append(Guess((1.0,), frozenset(persons[one] for one in nearest)))
    return guesses


def by_rules(config: Config, world: World, scenes: Scenes, known: list[Truth]) -> list[list[Guess]]:
    """The world's rules on the true traits (`ceiling`) or on what the noisy maps show (`rules`)."""
    traits, data = traits_of(config.data.name), config.data
    if config.probe == "ceiling":
        shown = codes(scenes, traits, data.channels)
    else:
        painted = maps(scenes, traits, data.grid, data.channels, data.noise, (PARTS.index("test"),))
        shown = rules.measured(painted, scenes)
    x = rules.centres_x(scenes)
    return [rules.read(world, shown[n], x[n], sorted(truth.persons)) for n, truth in enumerate(known)]


def members(scenes: Scenes) -> tuple[Array, Array, Array]:
    """Every member of a group: its scene, its index in the scene, its group's activity."""
    scene, person = np.nonzero(scenes.groups >= 0)
    return scene, person, scenes.activities[scene, scenes.groups[scene, person]].astype(np.int64)


def traits(scenes: Scenes) -> tuple[Array, Array]:
    """One member's traits, without its appearance."""
    scene, person, activity = members(scenes)
    return scenes.traits[scene, person, :7].astype(np.float32) / UNIT, activity


def appearance(scenes: Scenes) -> tuple[Array, Array]:
    """One member's appearance."""
    scene, person, activity = members(scenes)
    return scenes.traits[scene, person, 7:].astype(np.float32) / UNIT, activity


def count(scenes: Scenes) -> tuple[Array, Array]:
    """The number of persons, as one of 14 classes."""
    return np.eye(14, dtype=np.float32)[(scenes.groups != NOBODY).sum(1)], scenes.activities[:, 0].astype(np.int64)


def positions(scenes: Scenes) -> tuple[Array, Array]:
    """How many persons stand in each cell of a coarse grid over the frame."""
    rows, columns = BINS
    persons = np.zeros((len(scenes), rows * columns), dtype=np.float32)
    scene, person = np.nonzero(scenes.groups != NOBODY)
    centres = scenes.boxes[scene, person, :2].astype(float) / PLACES
    cell = (centres[:, 1] * rows).astype(int) * columns + (centres[:, 0] * columns).astype(int)
    np.add.at(persons, (scene, cell), 1.0)
    return persons, scenes.activities[:, 0].astype(np.int64)


LEARNT: dict[str, Callable[[Scenes], tuple[Array, Array]]] = {
    "person": traits,
    "looks": appearance,
    "count": count,
    "position": positions,
}


def learnt(inputs: Callable[[Scenes], tuple[Array, Array]], parts: dict[str, Scenes], world: World, seed: int) -> float:
    """How well a small network names activities.

    Args:
        inputs: What it sees of scenes, `(rows, numbers)`, and the activity to name for each row.
        parts: Train, validation and test scenes.
        world: Whose activities.
        seed: Of the network's weights.

    Returns:
        Accuracy (%) on the test scenes after the step at which it was best on the validation scenes.
    """
    torch.manual_seed(seed)
    data = {part: tuple(map(torch.from_numpy, inputs(scenes))) for part, scenes in parts.items()}
    network = nn.Sequential(
        nn.Linear(data["train"][0].shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, len(world.activities))
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    best, kept = -1.0, 0.0
    for step in range(STEPS):
        x, label = data["train"]
        loss = nn.functional.cross_entropy(network(x), label)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        if step % 20 == 19:
            with torch.inference_mode():
                right = {
                    part: 100 * float((network(x).argmax(-1) == y).float().mean()) for part, (x, y) in data.items()
                }
            if right["validation"] > best:
                best, kept = right["validation"], right["test"]
    return kept
