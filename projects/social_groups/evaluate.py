"""From the network's outputs to the metrics of a table: whose boxes the identifier sees is part of each metric's name.

true       the persons' own boxes, all certain
noisy      boxes moved and stretched (IoU with the true one about 0.7), a tenth of the persons missed, one false box a scene
detected   the network's own individual path: boxes whose score is at least 0.3
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from projects.social_groups import metrics
from projects.social_groups.identifier import members_of, size_of
from projects.social_groups.metrics import Guess, Scene, Truth
from projects.social_groups.model import SocialGroups
from projects.social_groups.persons import overlaps

Array = NDArray[Any]
DETECTED = 0.3  # least score of a detected person [our choice; the papers' is not known]
SAME = 0.5  # least IoU of a box and the person it stands for
MISSED, MOVED, STRETCHED = 0.1, 0.1, 0.12
LARGE = 4  # members
ASPECT = 96 / 160
WIDE = 0.2  # mean distance between members, in parts of the frame's diagonal: about the median of Court's test groups


@dataclass(frozen=True)
class Predicted:
    """Of the last layer, all scenes: activities (n, g, N_v), sizes (n, g), points (n, g, M, 2), persons (n, q), boxes (n, q, 4)."""

    activities: Array
    sizes: Array
    points: Array
    persons: Array
    boxes: Array


@torch.inference_mode()
def predict(model: SocialGroups, maps: Tensor, batch_size: int = 100) -> Predicted:
    """What the network in evaluation mode says of every scene."""
    model.eval()
    parts = []
    for start in range(0, len(maps), batch_size):
        groups, persons = model(maps[start : start + batch_size])
        last = (groups.activities.sigmoid(), groups.sizes, groups.points, persons.persons.sigmoid(), persons.boxes)
        parts.append([part[-1].cpu().numpy() for part in last])
    return Predicted(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def truths(groups: Tensor, activities: Tensor) -> list[Truth]:
    """The truth of each scene; a person's number is its place in the arrays."""
    found = []
    for row, labels in zip(groups.numpy(), activities.numpy(), strict=True):
        known = np.flatnonzero(labels >= 0)
        members = tuple(frozenset(np.flatnonzero(row == number).tolist()) for number in known)
        persons = frozenset(np.flatnonzero(row >= -1).tolist())
        found.append(Truth(members, tuple(labels[known].tolist()), persons))
    return found


@dataclass(frozen=True)
class Seen:
    """The boxes that the identifier sees in a scene: centres (p, 2), scores (p), and which person each is (below 0: none)."""

    centres: Array
    scores: Array
    persons: list[int]


def true_boxes(boxes: Array, there: Array) -> Seen:
    """Every person's own box."""
    persons = np.flatnonzero(there)
    return Seen(boxes[persons, :2], np.ones(len(persons)), persons.tolist())


def noisy_boxes(boxes: Array, there: Array, rng: np.random.Generator) -> Seen:
    """Moved and stretched boxes, some missed, one false."""
    persons = np.flatnonzero(there)
    moved = distorted(boxes[persons], rng)
    kept = rng.random(len(persons)) >= MISSED
    false = rng.uniform(0.1, 0.9, size=(1, 2))
    centres = np.concatenate([moved[kept, :2], false])
    return Seen(centres, np.ones(len(centres)), [*persons[kept].tolist(), -1])


def distorted(boxes: Array, rng: np.random.Generator) -> Array:
    """Boxes (p, 4) moved and stretched by parts of their own size."""
    moved = boxes[:, :2] + MOVED * rng.standard_normal((len(boxes), 2)) * boxes[:, 2:]
    return np.concatenate([moved, boxes[:, 2:] * np.exp(STRETCHED * rng.standard_normal((len(boxes), 2)))], axis=1)


def detected_boxes(found: Array, scores: Array, boxes: Array, there: Array) -> Seen:
    """Predicted boxes, each tied to the true person whose box it overlaps most (IoU above 0.5), the surest first; those left are nobody."""
    kept = np.flatnonzero(scores >= DETECTED)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    persons = np.flatnonzero(there)
    same = overlaps(torch.from_numpy(found[kept])[:, None], torch.from_numpy(boxes[persons])[None])[0].numpy()
    numbers = []
    for row in range(len(kept)):
        best = int(same[row].argmax()) if len(persons) else 0
        if len(persons) and same[row, best] > SAME:
            numbers.append(int(persons[best]))
            same[:, best] = 0
        else:
            numbers.append(-1 - row)
    return Seen(found[kept, :2], scores[kept], numbers)


def guesses_of(predicted: Predicted, scene: int, seen: Seen) -> list[Guess]:
    """The groups of a scene, one a query."""
    most = predicted.points.shape[2]
    found = []
    for group in range(predicted.points.shape[1]):
        size = size_of(float(predicted.sizes[scene, group]), most)
        chosen = members_of(predicted.points[scene, group], size, seen.centres, seen.scores)
        members = frozenset(seen.persons[number] for number in chosen)
        found.append(Guess(tuple(predicted.activities[scene, group].tolist()), members))
    return found


def scenes_by_boxes(predicted: Predicted, boxes: Tensor, groups: Tensor, activities: Tensor) -> dict[str, list[Scene]]:
    """Guesses and truth of every scene, for each kind of boxes."""
    known, array, there = truths(groups, activities), boxes.numpy(), (groups >= -1).numpy()
    rng = np.random.default_rng(0)
    found: dict[str, list[Scene]] = {"true": [], "noisy": [], "detected": []}
    for number, truth in enumerate(known):
        own = detected_boxes(predicted.boxes[number], predicted.persons[number], array[number], there[number])
        seen = {
            "true": true_boxes(array[number], there[number]),
            "noisy": noisy_boxes(array[number], there[number], rng),
            "detected": own,
        }
        for kind, what in seen.items():
            found[kind].append((guesses_of(predicted, number, what), truth))
    return found


def spreads(boxes: Tensor, truth: Sequence[Truth]) -> list[list[float]]:
    """The mean distance between the members of each group of each scene, in parts of the frame's diagonal."""
    found = []
    for places, scene in zip(boxes.numpy(), truth, strict=True):
        found.append([spread(places[sorted(group), :2]) for group in scene.groups])
    return found


def spread(centres: Array) -> float:
    """The mean distance between places (p, 2), in parts of the frame's diagonal; of one alone 0."""
    apart = (centres[:, None] - centres[None]) * [1, ASPECT]
    pairs = np.hypot(apart[..., 0], apart[..., 1])[np.triu_indices(len(centres), 1)]
    return float(pairs.mean() / np.hypot(1, ASPECT)) if len(pairs) else 0.0


def threshold_of(predicted: Predicted, boxes: Tensor, groups: Tensor, activities: Tensor) -> float:
    """The score from which a query is a group, chosen on these scenes (the validation scenes) with true boxes."""
    known, array, there = truths(groups, activities), boxes.numpy(), (groups >= -1).numpy()
    seen = [true_boxes(*one) for one in zip(array, there, strict=True)]
    return metrics.best_threshold([(guesses_of(predicted, n, what), known[n]) for n, what in enumerate(seen)])


def scores(
    predicted: Predicted, boxes: Tensor, groups: Tensor, activities: Tensor, threshold: float
) -> dict[str, float]:
    """The metrics of a table, in %; size error in members. Metrics of whole scenes count queries that score at least `threshold`."""
    kinds = scenes_by_boxes(predicted, boxes, groups, activities)
    true, many = kinds["true"], predicted.activities.shape[-1]
    shares = {
        "scene_acc": metrics.mean(true, metrics.scene_right),
        "gid_acc": metrics.mean(true, metrics.group_right),
        "gid_acc_noisy": metrics.mean(kinds["noisy"], metrics.group_right),
        "gid_acc_detected": metrics.mean(kinds["detected"], metrics.group_right),
        "gid_acc_half": metrics.mean(true, lambda guesses, truth: metrics.group_right(guesses, truth, 0.5)),
        "group_map": metrics.group_map(true, many, 1.0),
        "group_map_half": metrics.group_map(true, many, 0.5),
        "membership_acc": metrics.mean(true, lambda g, t: metrics.persons_right(g, t, False, threshold)),
        "social_acc": metrics.mean(true, lambda g, t: metrics.persons_right(g, t, True, threshold)),
        "member_f1": metrics.member_f1(true, threshold),
        "outlier_iou": metrics.outlier_iou(true, threshold),
    }
    wide = [place > WIDE for row in spreads(boxes, [truth for _, truth in true]) for place in row]
    found = [entry for scene in true for entry in metrics.found_groups(*scene, threshold)]
    percent = {name: 100 * value for name, value in (shares | by_group(found, np.array(wide))).items()}
    percent["fall_with_size"] = percent["iou_small"] - percent["iou_large"]
    percent["fall_with_spread"] = percent["iou_near"] - percent["iou_wide"]
    return percent | {"size_error": _mean([float(entry.size_error) for entry in found])}


def by_group(found: Sequence[metrics.Found], wide: Array) -> dict[str, float]:
    """How well the true groups are found: all, the small and the large ones, those that stand close and those that stand wide."""
    ious = np.array([entry.iou for entry in found])
    large = np.array([entry.size >= LARGE for entry in found])
    return {
        "group_iou": _mean(ious),
        "iou_small": _mean(ious[~large]),
        "iou_large": _mean(ious[large]),
        "iou_near": _mean(ious[~wide]),
        "iou_wide": _mean(ious[wide]),
        "member_precision": _mean([entry.precision for entry in found]),
        "member_recall": _mean([entry.recall for entry in found]),
    }


def _mean(values: Sequence[float] | Array) -> float:
    return float(np.mean(values)) if len(values) else 0.0
