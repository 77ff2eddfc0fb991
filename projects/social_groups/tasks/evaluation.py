"""From the network's outputs to the metrics of a table: whose boxes the identifier sees is part of each metric's name.

true       the persons' own boxes, all certain
noisy      boxes moved and stretched (IoU with the true one about 0.7), a tenth of the persons missed, one false box per scene
detected   the network's own individual path: boxes whose score is at least 0.3

The identifier matches a predicted group's points to persons by the Hungarian method over ‖ u^_i − centre_j ‖ / c_j, c_j
the score of person j [the ECCV paper names a simple Hungarian matching; the cost is our choice]. Nothing is learned;
two groups may claim one person.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from projects.social_groups.models.network import SocialGroups
from projects.social_groups.tasks import metrics
from projects.social_groups.tasks.metrics import GroupScore, Guess, Scene, Truth
from projects.social_groups.tasks.person_losses import overlaps
from regard_lab.training.device import best_device

Array = NDArray[Any]
DETECTED = 0.3  # least score of a detected person [our choice; the papers' is not known]
SAME = 0.5  # a box stands for a person whose box it overlaps with an IoU above this
MISSED, MOVED, STRETCHED = 0.1, 0.1, 0.12
LARGE = 4  # members
ASPECT = 96 / 160
WIDE = (
    0.2  # mean distance between members, as a fraction of the frame's diagonal: about the median of Court's test groups
)


@dataclass(frozen=True)
class Predicted:
    """What the last layer says of n scenes.

    Attributes:
        activities: Scores, `(n, g, N_v)`.
        sizes: As fractions of M, `(n, g)`.
        points: Members' points, `(n, g, M, 2)`.
        persons: Scores, `(n, q)`.
        boxes: `(n, q, 4)`.
    """

    activities: Array
    sizes: Array
    points: Array
    persons: Array
    boxes: Array


@torch.inference_mode()
def predict(model: SocialGroups, maps: Tensor, batch_size: int = 100) -> Predicted:
    """What the network in evaluation mode says of every scene. It is left on the device where it ran."""
    model.to(best_device()).eval()
    like = next(model.parameters())
    parts = []
    for start in range(0, len(maps), batch_size):
        groups, persons = model(maps[start : start + batch_size].to(like))
        layers = (groups.activities.sigmoid(), groups.sizes, groups.points, persons.persons.sigmoid(), persons.boxes)
        parts.append([tensor[-1].float().cpu().numpy() for tensor in layers])
    return Predicted(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def truths(groups: Tensor, activities: Tensor) -> list[Truth]:
    """The truth of each scene; a person's number is its index in the arrays."""
    scenes = []
    for row, labels in zip(groups.numpy(), activities.numpy(), strict=True):
        known = np.flatnonzero(labels >= 0)
        members = tuple(frozenset(np.flatnonzero(row == index).tolist()) for index in known)
        persons = frozenset(np.flatnonzero(row >= -1).tolist())
        scenes.append(Truth(members, tuple(labels[known].tolist()), persons))
    return scenes


@dataclass(frozen=True)
class Boxes:
    """The boxes that the identifier sees in a scene: centres `(p, 2)`, scores `(p)`, and which person each is (below 0: none)."""

    centres: Array
    scores: Array
    persons: list[int]


def true_boxes(boxes: Array, real: Array) -> Boxes:
    """Every person's own box."""
    persons = np.flatnonzero(real)
    return Boxes(boxes[persons, :2], np.ones(len(persons)), persons.tolist())


def noisy_boxes(boxes: Array, real: Array, rng: np.random.Generator) -> Boxes:
    """Moved and stretched boxes, some missed, one false."""
    persons = np.flatnonzero(real)
    moved = distorted(boxes[persons], rng)
    kept = rng.random(len(persons)) >= MISSED
    false = rng.uniform(0.1, 0.9, size=(1, 2))
    centres = np.concatenate([moved[kept, :2], false])
    return Boxes(centres, np.ones(len(centres)), [*persons[kept].tolist(), -1])


def distorted(boxes: Array, rng: np.random.Generator) -> Array:
    """Boxes `(p, 4)` moved and stretched in proportion to their own size."""
    moved = boxes[:, :2] + MOVED * rng.standard_normal((len(boxes), 2)) * boxes[:, 2:]
    return np.concatenate([moved, boxes[:, 2:] * np.exp(STRETCHED * rng.standard_normal((len(boxes), 2)))], axis=1)


def detected_boxes(predicted: Array, scores: Array, boxes: Array, real: Array) -> Boxes:
    """Predicted boxes, each tied to the true person whose box it overlaps most (IoU above 0.5), the surest first; the others are nobody."""
    kept = np.flatnonzero(scores >= DETECTED)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    persons = np.flatnonzero(real)
    same = overlaps(torch.from_numpy(predicted[kept])[:, None], torch.from_numpy(boxes[persons])[None])[0].numpy()
    tied = []
    for row in range(len(kept)):
        best = int(same[row].argmax()) if len(persons) else 0
        if len(persons) and same[row, best] > SAME:
            tied.append(int(persons[best]))
            same[:, best] = 0
        else:
            tied.append(-1 - row)
    return Boxes(predicted[kept, :2], scores[kept], tied)


def size_of(part: float, members: int) -> int:
    """The number of members that a size head means, `part` of `members`; a half is rounded up, and a group has at least one."""
    return min(members, max(1, math.floor(part * members + 0.5)))


def members_of(points: Array, size: int, centres: Array, scores: Array) -> list[int]:
    """The identifier: the persons at a group's points.

    Args:
        points: `(M, 2)`, of which the first `size` count.
        size: How many members the group has.
        centres: Those of the persons' boxes, `(p, 2)`.
        scores: How sure the boxes are, `(p)`.

    Returns:
        Indices of persons, sorted; fewer than `size` if there are not so many persons.
    """
    if not len(centres):
        return []
    wanted = points[:size]
    cost = np.linalg.norm(wanted[:, None] - centres[None], axis=-1) / np.maximum(scores, 1e-6)
    chosen: list[int] = sorted(linear_sum_assignment(cost)[1].tolist())
    return chosen


def guesses_of(predicted: Predicted, scene: int, seen: Boxes) -> list[Guess]:
    """The groups of a scene, one per query."""
    most = predicted.points.shape[2]
    guesses = []
    for group in range(predicted.points.shape[1]):
        size = size_of(float(predicted.sizes[scene, group]), most)
        chosen = members_of(predicted.points[scene, group], size, seen.centres, seen.scores)
        members = frozenset(seen.persons[index] for index in chosen)
        guesses.append(Guess(tuple(predicted.activities[scene, group].tolist()), members))
    return guesses


def scenes_by_boxes(predicted: Predicted, boxes: Tensor, groups: Tensor, activities: Tensor) -> dict[str, list[Scene]]:
    """Guesses and truth of every scene, for each kind of boxes."""
    known, array, real = truths(groups, activities), boxes.numpy(), (groups >= -1).numpy()
    rng = np.random.default_rng(0)
    scenes: dict[str, list[Scene]] = {"true": [], "noisy": [], "detected": []}
    for index, truth in enumerate(known):
        detected = detected_boxes(predicted.boxes[index], predicted.persons[index], array[index], real[index])
        seen = {
            "true": true_boxes(array[index], real[index]),
            "noisy": noisy_boxes(array[index], real[index], rng),
            "detected": detected,
        }
        for kind, by_kind in seen.items():
            scenes[kind].append((guesses_of(predicted, index, by_kind), truth))
    return scenes


def spreads(boxes: Tensor, truth: Sequence[Truth]) -> list[list[float]]:
    """The spread of each group of each scene."""
    return [
        [spread(centres[sorted(group), :2]) for group in scene.groups]
        for centres, scene in zip(boxes.numpy(), truth, strict=True)
    ]


def spread(centres: Array) -> float:
    """The mean distance between members at `(p, 2)`, as a fraction of the frame's diagonal; 0 for one alone."""
    apart = (centres[:, None] - centres[None]) * [1, ASPECT]
    pairs = np.hypot(apart[..., 0], apart[..., 1])[np.triu_indices(len(centres), 1)]
    return float(pairs.mean() / np.hypot(1, ASPECT)) if len(pairs) else 0.0


def threshold_of(predicted: Predicted, boxes: Tensor, groups: Tensor, activities: Tensor) -> float:
    """The score from which a query is a group, chosen on these scenes (the validation scenes) with true boxes."""
    known, array, real = truths(groups, activities), boxes.numpy(), (groups >= -1).numpy()
    seen = [true_boxes(*one) for one in zip(array, real, strict=True)]
    return metrics.best_threshold([(guesses_of(predicted, n, own), known[n]) for n, own in enumerate(seen)])


def scores(
    predicted: Predicted, boxes: Tensor, groups: Tensor, activities: Tensor, threshold: float
) -> dict[str, float]:
    """The metrics of a table.

    Args:
        predicted: What the network says of n scenes.
        boxes: The true boxes, `(n, p, 4)`.
        groups: The true groups, `(n, p)`.
        activities: The true activities, `(n, k)`.
        threshold: The score from which a query is a group, in metrics of whole scenes.

    Returns:
        Metrics in %, and `size_error` in members. Those of a scene's activity and of its best group are over scenes that have a group.
    """
    kinds = scenes_by_boxes(predicted, boxes, groups, activities)
    true, count = kinds["true"], predicted.activities.shape[-1]
    grouped = {kind: [scene for scene in scenes if scene[1].groups] for kind, scenes in kinds.items()}
    shares = {
        "scene_acc": metrics.mean(grouped["true"], metrics.scene_right),
        "gid_acc": metrics.mean(grouped["true"], metrics.group_right),
        "gid_acc_noisy": metrics.mean(grouped["noisy"], metrics.group_right),
        "gid_acc_detected": metrics.mean(grouped["detected"], metrics.group_right),
        "gid_acc_half": metrics.mean(grouped["true"], lambda guesses, truth: metrics.group_right(guesses, truth, 0.5)),
        "group_map": metrics.group_map(true, count, 1.0),
        "group_map_half": metrics.group_map(true, count, 0.5),
        "membership_acc": metrics.mean(true, lambda g, t: metrics.persons_right(g, t, False, threshold)),
        "social_acc": metrics.mean(true, lambda g, t: metrics.persons_right(g, t, True, threshold)),
        "member_f1": metrics.member_f1(true, threshold),
        "outlier_iou": metrics.outlier_iou(true, threshold),
    }
    wide = [distance > WIDE for row in spreads(boxes, [truth for _, truth in true]) for distance in row]
    per_group = [entry for scene in true for entry in metrics.group_scores(*scene, threshold)]
    percent = {name: 100 * value for name, value in (shares | by_group(per_group, np.array(wide))).items()}
    percent["fall_with_size"] = percent["iou_small"] - percent["iou_large"]
    percent["fall_with_spread"] = percent["iou_near"] - percent["iou_wide"]
    return percent | {"size_error": _mean([float(entry.size_error) for entry in per_group])}


def by_group(entries: Sequence[GroupScore], wide: Array) -> dict[str, float]:
    """How well the true groups are found: all, the small and the large ones, those that stand close and those that stand wide."""
    ious = np.array([entry.iou for entry in entries])
    large = np.array([entry.size >= LARGE for entry in entries])
    return {
        "group_iou": _mean(ious),
        "iou_small": _mean(ious[~large]),
        "iou_large": _mean(ious[large]),
        "iou_near": _mean(ious[~wide]),
        "iou_wide": _mean(ious[wide]),
        "member_precision": _mean([entry.precision for entry in entries]),
        "member_recall": _mean([entry.recall for entry in entries]),
    }


def _mean(values: Sequence[float] | Array) -> float:
    return float(np.mean(values)) if len(values) else 0.0
