"""Metrics of social groups, over numbers of persons alone: they do not know where predictions came from.

A scene's prediction is a list of `Guess`: scores of the activities and the set of members. All accuracies are shares, 0
to 1. Definitions are ours where the papers' are not known to us; group mAP and the IoU of outliers are those of the
Café benchmark's code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

Members = frozenset[int]
# A guess whose best activity scores less is no group; evaluation chooses its own on the validation scenes.
THRESHOLD = 0.3
THRESHOLDS = tuple(step / 50 for step in range(1, 46))


@dataclass(frozen=True)
class Guess:
    """One predicted group: one score per activity, and who belongs to it (numbers below 0 are nobody in the scene)."""

    scores: tuple[float, ...]
    members: Members

    @property
    def activity(self) -> int:
        return int(np.argmax(self.scores))

    @property
    def score(self) -> float:
        return max(self.scores)


@dataclass(frozen=True)
class Truth:
    """The true groups of a scene, what each of them does, and everybody in the scene."""

    groups: tuple[Members, ...]
    activities: tuple[int, ...]
    persons: Members

    @property
    def outsiders(self) -> Members:
        return self.persons.difference(*self.groups)

    @property
    def scene_activities(self) -> set[int]:
        """What most members do; several activities when they tie."""
        count: dict[int, int] = {}
        for group, activity in zip(self.groups, self.activities, strict=True):
            count[activity] = count.get(activity, 0) + len(group)
        return {activity for activity, persons in count.items() if persons == max(count.values())}


Scene = tuple[Sequence[Guess], Truth]


def iou(a: Members, b: Members) -> float:
    """|intersection| / |union|; 0 for two empty sets."""
    return len(a & b) / len(a | b) if a or b else 0.0


def mean(scenes: Sequence[Scene], score: Callable[[Sequence[Guess], Truth], float]) -> float:
    """The mean of a score over scenes."""
    return float(np.mean([score(*scene) for scene in scenes])) if scenes else 0.0


def scene_right(guesses: Sequence[Guess], truth: Truth) -> bool:
    """Is the activity of highest score over all queries one that most members do?"""
    return bool(guesses) and max(guesses, key=lambda guess: guess.score).activity in truth.scene_activities


def group_right(guesses: Sequence[Guess], truth: Truth, least: float = 1.0) -> bool:
    """Is the guess of highest score a true group, by its activity and (at an IoU of at least `least`) its members?"""
    if not guesses:
        return False
    best = max(guesses, key=lambda guess: guess.score)
    return any(
        activity == best.activity and iou(group, best.members) >= least
        for group, activity in zip(truth.groups, truth.activities, strict=True)
    )


def group_map(scenes: Sequence[Scene], activities: int, least: float) -> float:
    """Mean over activities of the average precision of groups of two or more: all-point interpolation; each guess may
    take one free true group of its activity and scene whose IoU with it is at least `least`. Activities that no true
    group has are left out."""
    precisions = [average_precision(scenes, activity, least) for activity in range(activities)]
    known = [value for value in precisions if value is not None]
    return float(np.mean(known)) if known else 0.0


def average_precision(scenes: Sequence[Scene], activity: int, least: float) -> float | None:
    """Average precision of one activity; `None` when no true group has it."""
    open_groups = [
        [g for g, a in zip(truth.groups, truth.activities, strict=True) if a == activity and len(g) >= 2]
        for _, truth in scenes
    ]
    total = sum(map(len, open_groups))
    if not total:
        return None
    guesses = [
        (guess.scores[activity], index, guess.members)
        for index, (of_scene, _) in enumerate(scenes)
        for guess in of_scene
        if len(guess.members) >= 2
    ]
    hits = []
    for _, index, members in sorted(guesses, key=lambda guess: -guess[0]):
        free = open_groups[index]
        best = max(free, key=lambda group: iou(group, members), default=frozenset())
        hit = bool(free) and iou(best, members) >= least
        if hit:
            free.remove(best)
        hits.append(hit)
    right = np.cumsum(hits)
    precision = right / np.arange(1, len(hits) + 1)
    interpolated = np.maximum.accumulate(precision[::-1])[::-1]
    return float(interpolated[np.array(hits, dtype=bool)].sum() / total)


def partition(guesses: Sequence[Guess], threshold: float = THRESHOLD) -> list[Guess]:
    """Groups that share nobody: guesses from the highest score down to `threshold`, each with those members that are still free.

    A guess with fewer than two free members is no group; one that has lost half of its members or more is a copy of a surer one.
    """
    taken: set[int] = set()
    kept = []
    for guess in sorted(guesses, key=lambda guess: -guess.score):
        free = guess.members - taken
        if guess.score >= threshold and len(free) >= 2 and 2 * len(free) > len(guess.members):
            kept.append(Guess(guess.scores, free))
            taken |= free
    return kept


def best_threshold(scenes: Sequence[Scene]) -> float:
    """The threshold with the highest `member_f1`, the least of equals; not to be chosen on test scenes."""
    return max(THRESHOLDS, key=lambda threshold: member_f1(scenes, threshold))


def member_f1(scenes: Sequence[Scene], threshold: float = THRESHOLD) -> float:
    """2 · right / (said + true): members of predicted groups that are in the true group aligned with it, over all members said and all true ones.

    Unlike the share of persons in the right group it gives nothing for calling everybody an outsider.
    """
    right, said, true = 0, 0, 0
    for guesses, truth in scenes:
        predicted = [guess.members for guess in partition(guesses, threshold)]
        right += sum(
            len(predicted[index] & truth.groups[other]) for index, other in alignment(predicted, truth).items()
        )
        said, true = said + sum(map(len, predicted)), true + sum(map(len, truth.groups))
    return 2 * right / (said + true) if said + true else 1.0


def alignment(groups: Sequence[Members], truth: Truth) -> dict[int, int]:
    """Which true group each predicted group is, by the Hungarian method on shared members: index of predicted -> index of true."""
    shared = np.array([[len(predicted & true) for true in truth.groups] for predicted in groups])
    if not shared.size:
        return {}
    rows, columns = linear_sum_assignment(-shared)
    return {int(row): int(column) for row, column in zip(rows, columns, strict=True) if shared[row, column]}


def persons_right(guesses: Sequence[Guess], truth: Truth, with_activity: bool, threshold: float = THRESHOLD) -> float:
    """Share of persons whose group is right under the alignment (an outsider in no group is right), and its activity too if asked for."""
    if not truth.persons:
        return 1.0
    predicted = partition(guesses, threshold)
    free = truth.outsiders.difference(*(guess.members for guess in predicted))
    right = len(free)
    for index, true in alignment([guess.members for guess in predicted], truth).items():
        if not with_activity or predicted[index].activity == truth.activities[true]:
            right += len(predicted[index].members & truth.groups[true])
    return right / len(truth.persons)


def outlier_iou(scenes: Sequence[Scene], threshold: float = THRESHOLD) -> float:
    """IoU of the predicted and the true outsiders of a scene, over the scenes that have either."""
    ious = []
    for guesses, truth in scenes:
        predicted = truth.persons.difference(*(guess.members for guess in partition(guesses, threshold)))
        if predicted or truth.outsiders:
            ious.append(iou(predicted, truth.outsiders))
    return float(np.mean(ious)) if ious else 1.0


@dataclass(frozen=True)
class GroupScore:
    """How well the predicted group that is aligned with a true one has found its members; all 0 when there is none."""

    size: int
    iou: float
    precision: float
    recall: float
    size_error: int


def group_scores(guesses: Sequence[Guess], truth: Truth, threshold: float = THRESHOLD) -> list[GroupScore]:
    """One entry per true group."""
    predicted = [guess.members for guess in partition(guesses, threshold)]
    aligned = {true: predicted[index] for index, true in alignment(predicted, truth).items()}
    entries = []
    for index, group in enumerate(truth.groups):
        members = aligned.get(index, frozenset())
        common = len(members & group)
        entries.append(
            GroupScore(
                size=len(group),
                iou=iou(members, group),
                precision=common / len(members) if members else 0.0,
                recall=common / len(group) if group else 0.0,
                size_error=abs(len(members) - len(group)),
            )
        )
    return entries
