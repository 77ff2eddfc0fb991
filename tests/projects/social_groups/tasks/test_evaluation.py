"""The identifier, whose boxes it sees, and the metrics of a table."""

import numpy as np
import pytest
import torch

from projects.social_groups.tasks.evaluation import (
    Predicted,
    detected_boxes,
    distorted,
    guesses_of,
    members_of,
    noisy_boxes,
    scores,
    size_of,
    spread,
    true_boxes,
    truths,
)
from projects.social_groups.tasks.metrics import Truth
from projects.social_groups.tasks.person_losses import overlaps

CENTRES = np.array([[0.1, 0.1], [0.5, 0.5], [0.9, 0.9], [0.5, 0.1]])
SURE = np.ones(4)


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
