"""Floors that see actors: the boxes and actions that are painted for the network, with the same errors of the detector, and no map.

proximity         who is near and does the same is together; the nearness is chosen on the training split
action_counts     logistic regression on how often each action occurs, left and right of the middle player, for the activity of the scene
set_transformer   a transformer over actors, trained here: for every two actors whether they are together, for the scene its activity

Groups are what hangs together by pairs; an actor whom the detector missed is in none. By proximity, a group's activity
is the most frequent action seen in it where actions and activities have the same names, else the majority activity of
the training split.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from projects.social_groups.analyses.floors import judged
from projects.social_groups.config import Config
from projects.social_groups.data.detections import detected
from projects.social_groups.data.splits import PARTS, module_of, scenes_of
from projects.social_groups.tasks import metrics
from projects.social_groups.tasks.evaluation import truths
from projects.social_groups.tasks.metrics import Guess, Members, Scene, Truth
from regard_lab.data.scenes import NOBODY, PLACES, UNIT
from regard_lab.evidence.floors import logistic
from regard_lab.experiment.run_result import RunResult

Array = NDArray[Any]
REACHES = tuple(step / 25 for step in range(1, 26))  # of a mean height of two boxes, or of the frame's height
FRAME = 1.5  # width of a frame over its height
WIDTH, HEADS, LAYERS, EPOCHS, BATCH, RATE = 64, 4, 2, 15, 32, 1e-3  # of the set transformer


@dataclass(frozen=True)
class Actors:
    """The actors of n scenes as a detector sees them, and the truth.

    Attributes:
        boxes: `(n, p, 4)`, as fractions of the frame.
        seen: The action read for each, `(n, p)`.
        there: Which of them are seen, `(n, p)`; those after the true persons are false.
        groups: The true group of each, below 0 none, `(n, p)`.
        known: The truth of each scene.
    """

    boxes: Array
    seen: Array
    there: Array
    groups: Array
    known: list[Truth]


def actors_of(config: Config) -> dict[str, Actors]:
    """The splits, cut to the budget, with the errors that the maps of a cell's test scenes have."""
    budget, loaded = config.budget, scenes_of(config.data, Path.cwd())
    most = dict(zip(PARTS, (budget.train_scenes, budget.test_scenes, budget.test_scenes), strict=True))
    splits = {}
    for index, part in enumerate(PARTS):
        scenes = loaded[part][: most[part]]
        seen = detected(scenes, config.data.detector, np.random.default_rng([index, 1]))
        more = seen.groups.shape[1] - scenes.groups.shape[1]
        splits[part] = Actors(
            seen.boxes.astype(float) / PLACES,
            (seen.traits == UNIT).argmax(-1),
            seen.groups != NOBODY,
            np.pad(scenes.groups.astype(int), ((0, 0), (0, more)), constant_values=-1),
            truths(*(torch.from_numpy(array.astype(np.int64)) for array in (scenes.groups, scenes.activities))),
        )
    return splits


def joined(together: Array) -> list[Members]:
    """The groups of two or more of which every two are linked, directly or over others, by a symmetric matrix `(p, p)`."""
    above = list(range(len(together)))

    def top(one: int) -> int:
        while above[one] != one:
            one = above[one]
        return one

    for one, other in zip(*np.nonzero(np.triu(together, 1)), strict=True):
        above[top(int(other))] = top(int(one))
    groups: dict[int, set[int]] = defaultdict(set)
    for one in range(len(together)):
        groups[top(one)].add(one)
    return [frozenset(group) for group in groups.values() if len(group) > 1]


def proximity(config: Config, folder: Path) -> RunResult:
    """Groups of actors that are near and do the same."""
    splits = actors_of(config)
    named = namer(config, splits["train"])
    ways = [(reach, by_height, same) for reach in REACHES for by_height in (False, True) for same in (False, True)]

    def guessed(actors: Actors, way: tuple[float, bool, bool]) -> list[Scene]:
        return [(near(actors, n, way, named), truth) for n, truth in enumerate(actors.known)]

    best = max(ways, key=lambda way: metrics.mean(guessed(splits["train"], way), without_activity))
    return judged(guessed(splits["test"], best))


def without_activity(guesses: Any, truth: Truth) -> float:
    """Share of persons in the right group."""
    return metrics.persons_right(guesses, truth, False)


def near(actors: Actors, scene: int, way: tuple[float, bool, bool], named: Any) -> list[Guess]:
    """The groups of a scene: centres within a reach (of a box's height if asked for), of the same action if asked for."""
    reach, by_height, same = way
    boxes, seen, there = actors.boxes[scene], actors.seen[scene], actors.there[scene]
    centres = boxes[:, :2] * [FRAME, 1]
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    unit = (boxes[:, None, 3] + boxes[None, :, 3]) / 2 if by_height else 1.0
    together = (apart < reach * unit) & there[:, None] & there[None]
    if same:
        together &= seen[:, None] == seen[None]
    return [Guess(named(seen[sorted(group)]), group) for group in joined(together)]


def namer(config: Config, train: Actors) -> Any:
    """From the actions seen in a group to scores of its activity."""
    module = module_of(config.data.name)
    kinds = config.data.activities
    if module.ACTIONS == module.ACTIVITIES:
        return lambda seen: one_hot(int(np.bincount(seen).argmax()), kinds)
    most = int(np.bincount([a for truth in train.known for a in truth.activities]).argmax())
    return lambda seen: one_hot(most, kinds)


def one_hot(index: int, kinds: int) -> tuple[float, ...]:
    """1 for one of `kinds`."""
    return tuple(float(kind == index) for kind in range(kinds))


def action_counts(config: Config, folder: Path) -> RunResult:
    """The scene's activity by logistic regression on counts of actions; everybody is one group."""
    splits = actors_of(config)
    counts = {part: counts_of(actors, config.data.actions) for part, actors in splits.items()}
    labels = {part: labels_of(actors) for part, actors in splits.items()}
    rows = {part: label >= 0 for part, label in labels.items()}
    train, validation = ((counts[part][rows[part]], labels[part][rows[part]]) for part in PARTS[:2])
    said = logistic(train, validation, counts["test"], config.data.activities)
    return judged(
        [
            ([Guess(one_hot(int(kind), config.data.activities), truth.persons)], truth)
            for kind, truth in zip(said, splits["test"].known, strict=True)
        ]
    )


def counts_of(actors: Actors, actions: int) -> Array:
    """How often each action is seen in the left and in the right half of the actors, `(n, 2 · actions)`."""
    x = np.where(actors.there, actors.boxes[..., 0], np.nan)
    right = x > np.nanmedian(x, axis=1, keepdims=True)
    shown = np.eye(actions)[actors.seen] * actors.there[..., None]
    counts: Array = np.concatenate([(shown * side[..., None]).sum(1) for side in (~right, right)], axis=1)
    return counts


def labels_of(actors: Actors) -> Array:
    """What most members of each scene do, the first of equals; −1 where there is no group."""
    return np.array([min(truth.scene_activities, default=-1) for truth in actors.known])


class SetTransformer(nn.Module):
    """Actors `(b, p, numbers)` and which there are `(b, p)` -> logits of pairs `(b, p, p)`, of the activity of each
    actor's group `(b, p, kinds)`, of the scene's `(b, kinds)`."""

    def __init__(self, numbers: int, kinds: int) -> None:
        super().__init__()
        self.embed = nn.Linear(numbers, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, dropout=0.1, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.query, self.key = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.near = nn.Parameter(torch.zeros(2))
        self.actor, self.scene = nn.Linear(WIDTH, kinds), nn.Linear(WIDTH, kinds)

    def forward(self, x: Tensor, there: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        states = self.layers(self.embed(x), src_key_padding_mask=~there)
        states = states.masked_fill(~there[..., None], 0.0)
        pairs = self.query(states) @ self.key(states).mT / WIDTH**0.5
        apart = (x[:, :, None, :2] - x[:, None, :, :2]).norm(dim=-1)
        pairs = (pairs + pairs.mT) / 2 + self.near[0] * apart + self.near[1]
        mean = states.sum(1) / there.sum(1, keepdim=True).clamp(min=1)
        return pairs, self.actor(states), self.scene(mean)


def set_transformer(config: Config, folder: Path) -> RunResult:
    """Groups and activities by a transformer over actors, with the weights of its best epoch on the validation split."""
    torch.manual_seed(config.seed)
    splits = actors_of(config)
    tensors = {part: as_tensors(actors, config.data.actions) for part, actors in splits.items()}
    network = SetTransformer(tensors["train"][0].shape[-1], config.data.activities)
    adam = torch.optim.AdamW(network.parameters(), lr=RATE)
    best, kept = -1.0, network.state_dict()
    for _ in range(EPOCHS):
        network.train()
        for rows in torch.split(torch.randperm(len(tensors["train"][0])), BATCH):
            adam.zero_grad()
            torch.autograd.backward(set_loss(network, *(tensor[rows] for tensor in tensors["train"])))
            adam.step()
        right = metrics.mean(set_guesses(network, splits["validation"], tensors["validation"]), persons_and_scene)
        if right > best:
            best, kept = right, {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(kept)
    return judged(set_guesses(network, splits["test"], tensors["test"]))


def persons_and_scene(guesses: Any, truth: Truth) -> float:
    """What the best epoch is chosen by: persons in the right group of the right activity, and the activity of the scene."""
    return metrics.persons_right(guesses, truth, True) + float(metrics.scene_right(guesses, truth))


def as_tensors(actors: Actors, actions: int) -> tuple[Tensor, ...]:
    """Numbers of each actor, who is there, true groups, the activity of each one's group (−1: none), the scene's activity (−1: none)."""
    numbers = np.concatenate((actors.boxes * [FRAME, 1, FRAME, 1], np.eye(actions)[actors.seen]), axis=-1)
    own = np.full(actors.groups.shape, -1)
    for n, truth in enumerate(actors.known):
        for members, activity in zip(truth.groups, truth.activities, strict=True):
            own[n, sorted(members)] = activity
    return (
        torch.from_numpy(numbers.astype(np.float32)),
        torch.from_numpy(actors.there),
        torch.from_numpy(actors.groups),
        torch.from_numpy(own),
        torch.from_numpy(labels_of(actors)),
    )


def set_loss(network: SetTransformer, x: Tensor, there: Tensor, groups: Tensor, own: Tensor, scene: Tensor) -> Tensor:
    """Cross entropies of pairs, of the actors' activities, and of the scene's."""
    pairs, actor, whole = network(x, there)
    both = there[:, :, None] & there[:, None] & ~torch.eye(x.shape[1], dtype=torch.bool)
    together = ((groups[:, :, None] == groups[:, None]) & (groups[:, :, None] >= 0)).to(pairs)
    of_pairs = F.binary_cross_entropy_with_logits(pairs[both], together[both])
    member, known = (own >= 0) & there, scene >= 0
    return of_pairs + (
        F.cross_entropy(actor[member], own[member]) + F.cross_entropy(whole[known], scene[known])
        if bool(member.any())
        else 0.0
    )


@torch.no_grad()
def set_guesses(network: SetTransformer, actors: Actors, tensors: tuple[Tensor, ...]) -> list[Scene]:
    """The groups of each scene; the surest guess has the scene's activity and the largest group, so that both heads are judged."""
    network.eval()
    pairs, actor, whole = network(*tensors[:2])
    scenes: list[Scene] = []
    for n, truth in enumerate(actors.known):
        linked = (pairs[n] > 0).numpy() & actors.there[n][:, None] & actors.there[n][None]
        groups = joined(linked)
        scores = [
            0.5 + 0.49 * actor[n, sorted(group)].mean(0).softmax(-1) for group in groups
        ]  # each is said to be a group
        guesses = [Guess(tuple(score.tolist()), group) for score, group in zip(scores, groups, strict=True)]
        named = one_hot(int(whole[n].argmax()), whole.shape[-1])
        scenes.append(([*guesses, Guess(named, max(groups, key=len, default=frozenset()))], truth))
    return scenes
