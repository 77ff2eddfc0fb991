"""The generator of Court and Plaza: synthetic scenes whose causes are known, made so that no shortcut reveals the
answer.

A scene is drawn in this order: who belongs together, what each group does, where everybody stands, what each person looks like.

membership   A member is `engaged`, an outsider is not; the members of one group also share a `heading` when there are several groups. Places
             are drawn before and apart from membership, so that distance says nothing of it.
activity     Which of the traits `arms`, `legs` and `gaze` the members have in common. A trait that is not shared is split among them,
             half and half. Either way each member has it or not with probability 1/2: one person alone says nothing of the activity.
side         On Court only: whether the group's leader stands right or left of the mean of the other members.
anything else (speed, appearance, an outsider's traits) is drawn apart from every label.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from regard_lab.data.scenes import NO_GROUP, NOBODY, OUTSIDER, PLACES, UNIT, Scenes

VERSION = 2  # part of every seed: a generator that draws differently needs a new version
TRAITS = ("arms", "legs", "gaze", "engaged", "leader", "heading", "speed", *(f"appearance_{k}" for k in range(8)))
SHARED = ("arms", "legs", "gaze")
ACTIONS = ("standing", "stepping", "reaching", "leaping")  # 2 · (arms) + (legs)
ASPECT = 96 / 160  # height of the frame over its width
MARGIN = 0.08  # of the frame, free at its edges
APART = 0.065  # of the frame's width, between the centres of any two persons
LEAD = 0.03  # of the frame's width, between the leader and the mean of the others
HEADINGS = (-0.5, 0.0, 0.5, 1.0)  # of π: groups of a plaza walk along one of its two axes, one way or the other
HEADINGS_APART = np.pi / 2


@dataclass(frozen=True)
class World:
    """What kind of scenes: `codes[activity]` says which of `SHARED` the members have in common; `sided` doubles the activities by side."""

    name: str
    activities: tuple[str, ...]
    codes: tuple[tuple[bool, ...], ...]
    sided: bool
    group_counts: tuple[float, ...]  # probabilities of 1, 2, … groups
    sizes: dict[int, float]  # probabilities of a group's size
    outsiders: tuple[int, int]  # least and most
    most_persons: int

    @property
    def most_groups(self) -> int:
        return len(self.group_counts)


def generate(world: World, split: int, scenes: int, templates: range, *, first: int = 0) -> Scenes:
    """Generate a split; scene i is the same however many are asked for.

    Args:
        world: What kind of scenes.
        split: The split's number, part of every seed.
        scenes: How many.
        templates: The layouts to draw from.
        first: The number of the first scene. Default: 0.
    """
    drawn = [
        scene(world, np.random.default_rng([VERSION, split, i, *world.name.encode()]), templates)
        for i in range(first, first + scenes)
    ]
    return Scenes(*(np.stack(arrays) for arrays in zip(*drawn, strict=True)))


def scene(world: World, rng: Generator, templates: range) -> tuple[NDArray[np.generic], ...]:
    """The arrays of one scene, in the order of the fields of `Scenes`."""
    groups, activities = memberships(world, rng)
    template = int(templates[rng.integers(len(templates))])
    while True:
        places = layout(template, len(groups), rng)
        leaders = leaders_of(world, places, groups, activities, rng)
        if leaders is not None:
            break
    traits = appearances(world, groups, activities, leaders, rng)
    order = rng.permutation(len(groups))  # a person's index reveals nothing
    count, absent = len(groups), world.most_persons - len(groups)
    padded = np.concatenate([groups[order], np.full(absent, NOBODY)])
    arms, legs = traits[:, 0] > 0, traits[:, 1] > 0
    actions = np.pad((2 * arms + legs)[order], (0, absent))
    boxes = np.zeros((world.most_persons, 4))
    boxes[:count] = boxes_at(places[order], rng)
    fitted = np.pad(traits[order], ((0, absent), (0, 0)))
    return (
        np.round(boxes * PLACES).astype(np.int16),
        np.round(fitted * UNIT).astype(np.int16),
        actions.astype(np.int8),
        padded.astype(np.int8),
        activities.astype(np.int8),
        np.array(template, dtype=np.int16),
    )


def memberships(world: World, rng: Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The group of each person (members first) and the activity of each group; sizes are redrawn until they fit."""
    count = 1 + int(rng.choice(world.most_groups, p=world.group_counts))
    most_members = world.most_persons - world.outsiders[0]
    while True:
        sizes = rng.choice(list(world.sizes), size=count, p=list(world.sizes.values()))
        if sizes.sum() <= most_members:
            break
    least, most = world.outsiders
    outsiders = int(rng.integers(least, min(most, world.most_persons - int(sizes.sum())) + 1))
    groups = np.concatenate([np.repeat(np.arange(count), sizes), np.full(outsiders, OUTSIDER)])
    activities = np.full(world.most_groups, NO_GROUP)
    activities[:count] = rng.integers(len(world.activities), size=count)
    return groups, activities


def layout(template: int, persons: int, rng: Generator) -> NDArray[np.float64]:
    """Positions (persons, 2) in the frame, at arm's length within the one to three clumps that the template fixes."""
    fixed = np.random.default_rng([VERSION, 7, template])
    clumps = int(fixed.integers(1, 4))
    centres = fixed.uniform([0.25, 0.3], [0.75, 0.7], size=(clumps, 2))
    reach = fixed.uniform(0.08, 0.28, size=(clumps, 1)) * [1.0, 0.8]
    places: list[NDArray[np.float64]] = []
    tries = 0
    while len(places) < persons:
        clump = int(rng.integers(clumps))
        widened = 1 + tries / 50  # a clump too small for its persons grows
        position = centres[clump] + widened * reach[clump] * rng.uniform(-1, 1, size=2)
        inside = bool((position > MARGIN).all() and (position < 1 - MARGIN).all())
        if inside and all(np.hypot(*((position - other) * [1, ASPECT])) >= APART for other in places):
            places.append(position)
        tries += 1
    return np.array(places)


def leaders_of(
    world: World, places: NDArray[np.float64], groups: NDArray[np.int64], activities: NDArray[np.int64], rng: Generator
) -> NDArray[np.bool_] | None:
    """Who leads: on Court one member on the side that the activity names; elsewhere any member. `None`: nobody stands far enough to that side."""
    leaders = np.zeros(len(groups), dtype=bool)
    for group in range(int(groups.max()) + 1):
        members = np.flatnonzero(groups == group)
        x = places[members, 0]
        ahead = x - (x.sum() - x) / (len(x) - 1)  # of the mean of the others
        if world.sided:
            side = 1 if activities[group] < len(world.activities) // 2 else -1
            members = members[side * ahead > LEAD]
        if not len(members):
            return None
        leaders[rng.choice(members)] = True
    return leaders


def appearances(
    world: World, groups: NDArray[np.int64], activities: NDArray[np.int64], leaders: NDArray[np.bool_], rng: Generator
) -> NDArray[np.float64]:
    """What each person looks like (persons, traits); headings are angles / π, so that they too fit into thousandths."""
    persons = len(groups)
    traits = np.zeros((persons, len(TRAITS)))
    column = {name: index for index, name in enumerate(TRAITS)}
    for name in SHARED:
        traits[:, column[name]] = rng.choice([-1.0, 1.0], size=persons)
    headings = rng.uniform(-1, 1, size=persons)
    group_headings = rng.permutation(HEADINGS)
    for group in range(int(groups.max()) + 1):
        members = np.flatnonzero(groups == group)
        for name, shared in zip(SHARED, code_of(world, int(activities[group])), strict=False):
            traits[members, column[name]] = common(len(members), shared, rng)
        if world.most_groups > 1:
            headings[members] = group_headings[group] + rng.normal(0, 0.03, size=len(members))
    traits[:, column["engaged"]] = np.where(groups == OUTSIDER, -1.0, 1.0)
    traits[:, column["leader"]] = np.where(leaders, 1.0, -1.0)
    traits[:, column["heading"]] = np.mod(headings + 1, 2) - 1
    traits[:, column["speed"]] = rng.uniform(0, 1, size=persons)
    traits[:, column["appearance_0"] :] = rng.normal(0, 1, size=(persons, 8))
    return traits


def code_of(world: World, activity: int) -> tuple[bool, ...]:
    """Which of `SHARED` the members of a group with this activity have in common; a trait beyond the code belongs to no activity."""
    return world.codes[activity % len(world.codes)]


def common(members: int, shared: bool, rng: Generator) -> NDArray[np.float64]:
    """A trait of a group's members: the same for all, or split half and half (an odd member may go to either half)."""
    sign = rng.choice([-1.0, 1.0])
    if shared:
        return np.full(members, sign)
    split = np.where(np.arange(members) < members // 2, sign, -sign)
    return rng.permutation(split)


def boxes_at(places: NDArray[np.float64], rng: Generator) -> NDArray[np.float64]:
    """Boxes (persons, 4) around the places: lower in the frame is nearer, so larger."""
    height = (0.18 + 0.06 * places[:, 1]) * rng.uniform(0.9, 1.1, size=len(places))
    width = 0.42 * height * ASPECT
    return np.column_stack([places, width, height])
