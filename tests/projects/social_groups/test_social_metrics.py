"""The identifier and the metrics: worked cases, edge cases, and a brute-force reference of the average precision."""

import numpy as np
import pytest
import torch

from projects.social_groups import metrics
from projects.social_groups.evaluate import (
    Predicted,
    detected_boxes,
    distorted,
    guesses_of,
    noisy_boxes,
    scores,
    spread,
    true_boxes,
    truths,
)
from projects.social_groups.identifier import members_of, size_of
from projects.social_groups.metrics import Guess, Truth
from projects.social_groups.persons import overlaps

CENTRES = np.array([[0.1, 0.1], [0.5, 0.5], [0.9, 0.9], [0.5, 0.1]])
SURE = np.ones(4)
TRUTH = Truth((frozenset({0, 1, 2}), frozenset({3, 4})), (0, 1), frozenset(range(7)))


def guess(activity: int, members: set[int], score: float = 0.9) -> Guess:
    return Guess(tuple(score if kind == activity else 0.01 for kind in range(3)), frozenset(members))


PERFECT = [guess(0, {0, 1, 2}, 0.9), guess(1, {3, 4}, 0.8), guess(2, {5}, 0.1)]


def test_exact_points_give_the_right_persons_and_only_the_first_count():
    points = np.array([[0.9, 0.9], [0.1, 0.1], [0.5, 0.5]])
    assert members_of(points, 2, CENTRES, SURE) == [0, 2]
    assert members_of(points, 3, CENTRES, SURE) == [0, 1, 2]


def test_no_person_is_a_member_twice_and_the_surer_of_two_is_preferred():
    assert members_of(np.array([[0.1, 0.1], [0.12, 0.1]]), 2, CENTRES, SURE) == [0, 3]
    two = np.array([[0.4, 0.5], [0.6, 0.5]])
    assert members_of(np.array([[0.5, 0.5]]), 1, two, np.array([0.5, 0.9])) == [1]
    assert members_of(np.array([[0.5, 0.5]]), 1, two, np.array([0.9, 0.5])) == [0]


def test_a_size_beyond_the_persons_is_all_of_them_and_without_persons_nobody():
    points = np.random.default_rng(0).random((6, 2))
    assert members_of(points, 6, CENTRES, SURE) == [0, 1, 2, 3]
    assert members_of(points, 3, np.zeros((0, 2)), np.zeros(0)) == []


@pytest.mark.parametrize(
    ("part", "size"), [(0.0, 1), (0.25, 2), (0.41, 2), (0.4166, 2), (0.4167, 3), (0.75, 5), (1.0, 6)]
)
def test_sizes_round_a_half_up(part, size):
    assert size_of(part, 6) == size  # 0.25 · 6 = 1.5 and 0.75 · 6 = 4.5


def test_a_perfect_prediction_is_perfect():
    scene = (PERFECT, TRUTH)
    assert metrics.scene_right(*scene)
    assert metrics.group_right(*scene)
    assert metrics.group_map([scene], 3, 1.0) == 1.0
    assert metrics.persons_right(*scene, True) == 1.0
    assert metrics.outlier_iou([scene]) == 1.0
    assert [entry.iou for entry in metrics.found_groups(*scene)] == [1.0, 1.0]


@pytest.mark.parametrize("members", [{0, 1}, {0, 1, 2, 5}, {0, 1, 3}], ids=["dropped", "added", "swapped"])
def test_one_member_wrong_is_a_strict_miss_and_half_right(members):
    guesses = [guess(0, members), PERFECT[1]]
    assert not metrics.group_right(guesses, TRUTH)
    assert metrics.group_right(guesses, TRUTH, 0.5)
    assert metrics.group_map([(guesses, TRUTH)], 3, 1.0) == 0.5
    assert metrics.group_map([(guesses, TRUTH)], 3, 0.5) == 1.0


def test_two_groups_merged_and_a_label_swap():
    merged = [guess(0, {0, 1, 2, 3, 4})]
    assert not metrics.group_right(merged, TRUTH)
    assert metrics.persons_right(merged, TRUTH, False) == pytest.approx(
        (3 + 2) / 7
    )  # three members and the two outsiders
    assert metrics.outlier_iou([(merged, TRUTH)]) == 1.0
    swapped = [guess(1, {0, 1, 2}), guess(0, {3, 4}, 0.8)]
    assert metrics.persons_right(swapped, TRUTH, False) == 1.0
    assert metrics.persons_right(swapped, TRUTH, True) == pytest.approx(2 / 7)
    assert (
        metrics.group_map([(swapped, TRUTH)], 3, 0.5) == 0.5
    )  # every activity of a guess has a score: the right one comes second


def test_no_detection_no_true_group_and_duplicates():
    nothing = Truth((), (), frozenset({0, 1}))
    assert not metrics.scene_right([], TRUTH)
    assert not metrics.group_right([], TRUTH)
    assert not metrics.group_right(PERFECT, nothing)
    assert metrics.persons_right([], nothing, True) == 1.0
    assert metrics.persons_right([], TRUTH, True) == pytest.approx(2 / 7)
    assert metrics.group_map([([], TRUTH)], 3, 0.5) == 0.0
    assert metrics.group_map([(PERFECT, nothing)], 3, 0.5) == 0.0
    assert metrics.found_groups([], TRUTH)[0] == metrics.Found(3, 0.0, 0.0, 0.0, 3)
    twice = [*PERFECT, guess(0, {0, 1, 2}, 0.7)]  # the second is a false alarm, after the first
    assert metrics.average_precision([(twice, TRUTH)], 0, 1.0) == 1.0
    assert metrics.average_precision([([guess(0, {3, 5}, 0.95), *twice], TRUTH)], 0, 1.0) == 0.5


def test_a_person_in_two_groups_is_the_surer_ones():
    both = [guess(0, {0, 1, 2}, 0.6), guess(1, {2, 3, 4}, 0.8), guess(2, {1, 2}, 0.5)]
    kept = metrics.partition(both)
    assert [set(one.members) for one in kept] == [{2, 3, 4}, {0, 1}]
    assert metrics.partition([guess(0, {0, 1}, metrics.THRESHOLD - 0.01)]) == []
    copy = [guess(0, {0, 1, 2, 3}, 0.9), guess(0, {2, 3, 4, 5}, 0.8)]  # it has lost half of its members
    assert [set(one.members) for one in metrics.partition(copy)] == [{0, 1, 2, 3}]


def test_the_f1_of_members_by_hand():
    assert metrics.member_f1([(PERFECT, TRUTH)]) == 1.0
    assert metrics.member_f1([([], TRUTH)]) == 0.0
    assert metrics.member_f1([([], Truth((), (), frozenset({0})))]) == 1.0
    some = [
        guess(0, {0, 1, 5}),
        guess(1, {2, 6}, 0.8),
    ]  # the second is aligned with {3, 4} or nobody: no member of it is right
    assert metrics.member_f1([(some, TRUTH)]) == pytest.approx(2 * 2 / (5 + 5))


def test_the_threshold_is_the_one_that_finds_members_best():
    low = [guess(0, {0, 1, 2}, 0.4), guess(1, {3, 4}, 0.25), guess(2, {5, 6}, 0.1)]
    assert metrics.best_threshold([(low, TRUTH)]) == pytest.approx(0.12)  # the least that leaves {5, 6} out
    assert metrics.persons_right(low, TRUTH, True, 0.12) == 1.0


def test_the_activity_of_a_scene_is_that_of_most_members():
    assert TRUTH.scene_activities == {0}
    assert Truth((frozenset({0, 1}), frozenset({2, 3})), (2, 0), frozenset(range(4))).scene_activities == {0, 2}
    assert metrics.scene_right([guess(1, set(), 0.9)], TRUTH) is False


def brute_force(scenes, activity: int, least: float) -> float:
    """All-point interpolated average precision, from every threshold's precision and recall."""
    total = sum(
        a == activity and len(g) >= 2
        for _, truth in scenes
        for g, a in zip(truth.groups, truth.activities, strict=True)
    )
    ranked = sorted(
        (
            (one.scores[activity], n, one.members)
            for n, (found, _) in enumerate(scenes)
            for one in found
            if len(one.members) >= 2
        ),
        key=lambda entry: -entry[0],
    )
    points = []
    for cut in range(1, len(ranked) + 1):
        used, right = set(), 0
        for _, n, members in ranked[:cut]:
            truth = scenes[n][1]
            free = [
                (len(g & members) / len(g | members), k)
                for k, (g, a) in enumerate(zip(truth.groups, truth.activities, strict=True))
                if a == activity and len(g) >= 2 and (n, k) not in used
            ]
            if free and max(free, key=lambda pair: pair[0])[0] >= least:
                used.add((n, max(free, key=lambda pair: pair[0])[1]))
                right += 1
        points.append((right / total, right / cut))
    area, before = 0.0, 0.0
    for recall in sorted({recall for recall, _ in points}):
        area += (recall - before) * max(precision for r, precision in points if r >= recall)
        before = recall
    return area


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_that_of_brute_force(seed):
    rng = np.random.default_rng(seed)

    def some():
        return frozenset(rng.choice(8, size=int(rng.integers(1, 5)), replace=False).tolist())

    scenes = []
    for _ in range(6):
        groups = (frozenset({0, 1, 2}), frozenset({3, 4}), frozenset({5}))
        truth = Truth(groups, tuple(rng.integers(2, size=3).tolist()), frozenset(range(8)))
        near = [
            Guess(tuple(rng.random(2).tolist()), some() if rng.random() < 0.5 else groups[int(rng.integers(3))])
            for _ in range(5)
        ]
        scenes.append((near, truth))
    for least in (0.5, 1.0):
        for activity in (0, 1):
            assert metrics.average_precision(scenes, activity, least) == pytest.approx(
                brute_force(scenes, activity, least)
            )


def world():
    """Two scenes of five persons; the network is right on both, by points and by boxes."""
    boxes = torch.zeros(2, 6, 4)
    boxes[:, :5, 0] = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])
    boxes[:, :5, 1:] = torch.tensor([0.5, 0.05, 0.2])
    groups = torch.tensor([[0, 0, -1, -1, 0, -2], [-1, 1, 1, 0, 0, -2]])
    activities = torch.tensor([[1, -1], [0, 1]])
    points = np.full((2, 2, 3, 2), 0.5)
    points[0, 0, :, 0], points[1, 0, :2, 0], points[1, 1, :2, 0] = [0.1, 0.3, 0.9], [0.7, 0.9], [0.3, 0.5]
    activity = np.array([[[0.1, 0.9], [0.05, 0.05]], [[0.8, 0.1], [0.1, 0.7]]])
    sizes = np.array([[1.0, 1 / 3], [2 / 3, 2 / 3]])
    found = np.tile(boxes[:1, [4, 3, 2, 1, 0]].numpy(), (2, 1, 1))
    return Predicted(activity, sizes, points, np.ones((2, 5)), found), boxes, groups, activities


def test_truth_and_guesses_of_scenes():
    predicted, boxes, groups, activities = world()
    known = truths(groups, activities)
    assert known[0] == Truth((frozenset({0, 1, 4}),), (1,), frozenset(range(5)))
    assert known[1].groups == (frozenset({3, 4}), frozenset({1, 2}))
    seen = true_boxes(boxes[0].numpy(), (groups[0] >= -1).numpy())
    assert guesses_of(predicted, 0, seen)[0].members == known[0].groups[0]


def test_the_scores_of_a_perfect_network():
    found = scores(*world(), threshold=0.5)
    full = {name for name in found if not name.startswith(("fall", "size_error", "gid_acc_noisy", "iou_"))}
    assert {name: found[name] for name in full} == dict.fromkeys(full, 100.0)
    assert found["size_error"] == 0


def test_a_detected_box_is_the_person_it_overlaps_or_nobody():
    _, boxes, groups, _ = world()
    array, there = boxes[0].numpy(), (groups[0] >= -1).numpy()
    found = np.stack([array[2], array[2], array[0] + [0.1, 0, 0, 0], array[1]])
    seen = detected_boxes(found, np.array([0.5, 0.9, 0.8, 0.1]), array, there)
    assert seen.persons == [2, -2, -3]  # the surer of two boxes of one person is that person; the last is no detection
    assert seen.scores.tolist() == [0.9, 0.8, 0.5]


def test_noisy_boxes_overlap_the_true_ones_by_about_seven_tenths():
    rng = np.random.default_rng(0)
    boxes = np.tile([0.5, 0.5, 0.05, 0.2], (2000, 1))
    moved = torch.from_numpy(distorted(boxes, rng))
    assert 0.65 < float(overlaps(moved, torch.from_numpy(boxes))[0].mean()) < 0.75
    seen = noisy_boxes(boxes, np.ones(2000, dtype=bool), rng)
    assert seen.persons[-1] == -1
    assert 0.88 < (len(seen.persons) - 1) / 2000 < 0.92


def test_spread_by_hand():
    assert spread(np.array([[0.2, 0.5], [0.4, 0.5]])) == pytest.approx(0.2 / np.hypot(1, 0.6))
    assert spread(np.array([[0.2, 0.5]])) == 0.0
