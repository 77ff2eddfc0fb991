"""The rules by which the generator of Court and Plaza labels its scenes, read backwards: who belongs together, and what they do.

Given the true traits this is the ceiling; given traits that were measured on the noisy maps, it is what a reader of the
maps with perfect boxes and perfect rules would reach.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from projects.social_groups.data.painting import channel_names
from projects.social_groups.tasks.metrics import Guess, Members
from regard_lab.data.crowds import HEADINGS_APART, SHARED, TRAITS, World
from regard_lab.data.scenes import PLACES, Scenes

Array = NDArray[Any]
CHANNEL = {name: index for index, name in enumerate(channel_names(TRAITS))}


def read(world: World, codes: Array, x: Array, persons: list[int]) -> list[Guess]:
    """The groups among some persons, and what they do.

    Args:
        world: Whose rules.
        codes: What is painted for each person, true or measured, `(p, channels)`.
        x: Where each person stands, `(p)`.
        persons: Indices of those who are in the scene.

    Returns:
        Groups of two or more, each with a score of 1 for its activity.
    """
    engaged = [person for person in persons if codes[person, CHANNEL["engaged"]] > 0]
    groups = together(codes, engaged) if world.most_groups > 1 else [frozenset(engaged)]
    guesses = []
    for members in groups:
        if len(members) >= 2:
            scores = np.zeros(len(world.activities))
            scores[activity_of(world, codes, x, members)] = 1.0
            guesses.append(Guess(tuple(scores.tolist()), members))
    return guesses


def together(codes: Array, persons: list[int]) -> list[Members]:
    """Persons whose headings are near one another: joined when less than half of what sets two groups' headings apart."""
    heading = {
        person: np.arctan2(codes[person, CHANNEL["heading_sin"]], codes[person, CHANNEL["heading_cos"]])
        for person in persons
    }
    groups: list[set[int]] = []
    for person in persons:
        near = [g for g in groups if any(_angle(heading[person] - heading[other]) < HEADINGS_APART / 2 for other in g)]
        groups = [g for g in groups if g not in near] + [{person}.union(*near)]
    return [frozenset(group) for group in groups]


def activity_of(world: World, codes: Array, x: Array, members: Members) -> int:
    """The activity of a group: which traits its members share and, on Court, on which side of the others its leader stands."""
    rows = sorted(members)
    signs = {name: codes[rows, CHANNEL[name]] > 0 for name in SHARED}
    shares = tuple(bool(signs[name].all() or not signs[name].any()) for name in SHARED[: len(world.codes[0])])
    kind = world.codes.index(shares) if shares in world.codes else nearest_code(world, shares)
    if not world.sided:
        return kind
    leader = rows[int(codes[rows, CHANNEL["leader"]].argmax())]
    others = [row for row in rows if row != leader]
    return kind if x[leader] > x[others].mean() else kind + len(world.codes)


def nearest_code(world: World, shares: tuple[bool, ...]) -> int:
    """The code that differs least: misread traits need not form one of the world's."""
    return min(
        range(len(world.codes)), key=lambda kind: sum(a != b for a, b in zip(world.codes[kind], shares, strict=True))
    )


def measured(maps: Array, scenes: Scenes) -> Array:
    """What the maps show at each person's centre, bilinear between pixels, `(n, p, channels)`."""
    n, _, rows, columns = maps.shape
    centres = scenes.boxes[..., :2].astype(np.float64) / PLACES
    x, y = centres[..., 0] * columns - 0.5, centres[..., 1] * rows - 0.5
    left, top = np.clip(np.floor(x), 0, columns - 2).astype(int), np.clip(np.floor(y), 0, rows - 2).astype(int)
    across, down = (x - left)[..., None], (y - top)[..., None]
    every = np.arange(n)[:, None]
    pixel = {(j, i): maps[every, :, top + j, left + i] for j in (0, 1) for i in (0, 1)}
    upper = pixel[0, 0] * (1 - across) + pixel[0, 1] * across
    shown: Array = upper * (1 - down) + (pixel[1, 0] * (1 - across) + pixel[1, 1] * across) * down
    return shown


def centres_x(scenes: Scenes) -> Array:
    """The x of every person's centre, `(n, p)`."""
    return scenes.boxes[..., 0].astype(np.float64) / PLACES


def _angle(difference: float) -> float:
    return abs((difference + np.pi) % (2 * np.pi) - np.pi)
