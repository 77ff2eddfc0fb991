"""The metrics: worked cases, edge cases, and a brute-force reference of the average precision."""

import numpy as np
import pytest

from projects.social_groups.tasks import metrics
from projects.social_groups.tasks.metrics import Guess, Truth

TRUTH = Truth((frozenset({0, 1, 2}), frozenset({3, 4})), (0, 1), frozenset(range(7)))


def guess(activity: int, members: set[int], score: float = 0.9) -> Guess:
    return Guess(tuple(score if kind == activity else 0.01 for kind in range(3)), frozenset(members))


PERFECT = [guess(0, {0, 1, 2}, 0.9), guess(1, {3, 4}, 0.8), guess(2, {5}, 0.1)]


def test_a_perfect_prediction_is_perfect():
    scene = (PERFECT, TRUTH)
    assert metrics.scene_right(*scene)
    assert metrics.group_right(*scene)
    assert metrics.group_map([scene], 3, 1.0) == 1.0
    assert metrics.persons_right(*scene, True) == 1.0
    assert metrics.outlier_iou([scene]) == 1.0
    assert [entry.iou for entry in metrics.group_scores(*scene)] == [1.0, 1.0]


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
    assert metrics.group_scores([], TRUTH)[0] == metrics.GroupScore(3, 0.0, 0.0, 0.0, 3)
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
