"""The costs and losses of groups on an example worked by hand, the matching, and the individual path."""

import math
from itertools import permutations
from typing import get_args

import pytest
import torch

from projects.social_groups.config import PointOrder, Weights
from projects.social_groups.models.network import GroupOutput, PersonOutput
from projects.social_groups.tasks.group_losses import Targets, costs, focal, group_losses, matched, sort_keys
from projects.social_groups.tasks.person_losses import overlaps, person_costs, person_losses

ONES = Weights(*[1.0] * 12)


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def example() -> tuple[GroupOutput, Targets]:
    """One scene: group 0 of two members at x 0.1 and 0.5, group 1 of three; three queries, M = 4, two activities."""
    boxes = torch.zeros(1, 6, 4)
    boxes[0, :, 0] = torch.tensor([0.5, 0.1, 0.2, 0.9, 0.3, 0.7])
    boxes[0, :, 1] = torch.tensor([0.5, 0.5, 0.4, 0.4, 0.4, 0.6])
    groups = torch.tensor([[0, 0, 1, 1, 1, -1]])
    actions = torch.tensor([[0, 1, 2, 0, 1, 2]])
    targets = Targets.of(boxes, actions, groups, torch.tensor([[0, 1]]), members=4, kinds=2)
    p = torch.tensor([[0.2, 0.9], [0.8, 0.1], [0.5, 0.5]])
    points = torch.full((1, 1, 3, 4, 2), 0.5)
    points[0, 0, 1, :2, 0] = torch.tensor([0.2, 0.5])
    logits = torch.zeros(1, 1, 3, 4, 3)
    logits[0, 0, 1, 0, 1] = math.log(2)  # the first slot of query 1 says action 1 with probability 1/2
    return GroupOutput(p.logit()[None, None], torch.tensor([[[0.75, 0.5, 0.25]]]), points, logits), targets


def test_targets_are_padded_and_in_order_of_x():
    _, targets = example()
    assert targets.real.tolist() == [[True, True]]
    assert targets.sizes.tolist() == [[0.5, 0.75]]
    assert targets.activities.tolist() == [[[1, 0], [0, 1]]]
    assert targets.points[0, 0, :2, 0].tolist() == pytest.approx([0.1, 0.5])
    assert targets.points[0, 1, :3, 0].tolist() == pytest.approx([0.2, 0.3, 0.9])
    assert targets.present.sum(-1).tolist() == [[2, 3]]
    assert targets.actions[0, 0, :2].tolist() == [1, 0]
    assert targets.actions[0, 1, :3].tolist() == [2, 1, 0]


def test_other_orders_of_members():
    boxes = torch.zeros(1, 3, 4)
    boxes[0, :, :2] = torch.tensor([[0.1, 0.9], [0.5, 0.2], [0.9, 0.5]])
    whole = (boxes, torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 1).long())
    by = {
        order: Targets.of(*whole, members=3, kinds=1, order=order).points[0, 0, :, 0].tolist()
        for order in get_args(PointOrder)
    }
    assert by["x"] == pytest.approx([0.1, 0.5, 0.9])
    assert by["y"] == pytest.approx([0.5, 0.9, 0.1])
    assert sorted(by["random"]) == pytest.approx(by["x"])
    many = torch.rand(500, 2, 4, generator=torch.Generator().manual_seed(0))
    first = sort_keys(many, "random").argmin(1)
    assert 0.4 < float((first == many[..., 0].argmin(1)).float().mean()) < 0.6


def test_the_two_terms_that_are_ours_by_hand():
    output, targets = example()  # group 0 is query 1, group 1 is query 0
    losses = group_losses(output, targets, ONES)
    likelihood = [0.8 / 0.2 / (0.8 / 0.2 + 0.1 / 0.9), 0.9 / 0.1 / (0.9 / 0.1 + 0.2 / 0.8)]
    assert float(losses["activity_softmax"]) == pytest.approx(-sum(map(math.log, likelihood)) / 2, rel=1e-5)
    # Of the five members' slots one says its action with probability 1/2, the others with 1/3.
    assert float(losses["slot_action"]) == pytest.approx((math.log(2) + 4 * math.log(3)) / 5, rel=1e-5)
    without = Weights(**vars(ONES) | {"activity_softmax": 0.0, "slot_action": 0.0})
    assert set(group_losses(output, targets, without)) == {"activity", "size", "points"}


def test_costs_by_hand():
    output, targets = example()
    only = {name: Weights(**vars(ONES) | dict.fromkeys(("cost_activity", "cost_size", "cost_points"), 0.0) | {name: 1.0})
            for name in ("cost_activity", "cost_size", "cost_points")}  # fmt: skip
    activity, size, points = (costs(output, targets, weights)[0, 0] for weights in only.values())
    assert activity[0].tolist() == pytest.approx([-(0.2 + 0.1) / 2, -(0.8 + 0.9) / 2, -0.5])
    assert size[1].tolist() == pytest.approx([0, 0.25, 0.5])
    # Query 1 of group 0: |0.1 − 0.2| + |0.5 − 0.5|, over two members; its third and fourth points are nobody's.
    assert points[0].tolist() == pytest.approx([0.4 / 2, 0.1 / 2, 0.4 / 2])
    assert float(points[1, 0]) == pytest.approx((0.3 + 0.1 + 0.2 + 0.1 + 0.4 + 0.1) / 3)


def test_losses_by_hand_where_points_are_summed_and_padding_has_a_zero_target():
    output, targets = example()
    losses = group_losses(output, targets, ONES)  # group 0 is query 1, group 1 is query 0
    assert float(losses["size"]) == pytest.approx((0 + 0) / 2)
    assert float(losses["points"]) == pytest.approx((0.1 + 1.2) / 2)

    def positive(p):
        return -0.25 * (1 - p) ** 2 * math.log(p)

    def negative(p):
        return -0.75 * p**2 * math.log(1 - p)

    expected = positive(0.8) + negative(0.1) + positive(0.9) + negative(0.2) + 2 * negative(0.5)
    assert float(losses["activity"]) == pytest.approx(expected / 2, rel=1e-5)
    assert float(focal(torch.tensor(logit(0.3)), torch.tensor(1.0))) == pytest.approx(positive(0.3), rel=1e-5)


def test_the_matching_is_that_of_least_cost_whatever_the_order_of_queries():
    torch.manual_seed(0)
    cost, real = torch.rand(2, 3, 3, 5), torch.tensor([[True, True, True], [True, False, True], [False, False, False]])
    layer, scene, true, query = matched(cost, real)
    assert len(layer) == 2 * (3 + 2)
    for number in range(2):
        rows = (layer == number) & (scene == 0)
        least = min(
            sum(float(cost[number, 0, i, j]) for i, j in enumerate(order)) for order in permutations(range(5), 3)
        )
        assert float(cost[number, 0, true[rows], query[rows]].sum()) == pytest.approx(least)
    assert set(true[scene == 1].tolist()) == {0, 2}
    order = torch.tensor([3, 1, 4, 0, 2])
    moved = matched(cost[..., order], real)
    assert torch.equal(order[moved[3]], query)


def test_a_batch_without_groups_has_a_loss_all_the_same():
    output, _ = example()
    nothing = Targets.of(
        torch.zeros(1, 6, 4),
        torch.zeros(1, 6).long(),
        torch.full((1, 6), -1),
        torch.full((1, 2), -1),
        members=4,
        kinds=2,
    )
    losses = group_losses(output, nothing, ONES)
    assert float(losses["activity"]) > 0
    assert float(losses["size"]) == float(losses["points"]) == 0


def test_overlaps_by_hand():
    one = torch.tensor([0.5, 0.5, 0.4, 0.4])
    same, apart, half = one, torch.tensor([0.1, 0.5, 0.2, 0.4]), torch.tensor([0.6, 0.5, 0.4, 0.4])
    assert [float(overlaps(one, other)[0]) for other in (same, apart, half)] == pytest.approx(
        [1, 0, 0.3 / 0.5], abs=1e-6
    )
    # The hull of `apart` and `one` is 0.7 × 0.4, their union 0.16 + 0.08.
    assert float(overlaps(one, apart)[1]) == pytest.approx(-(0.28 - 0.24) / 0.28, abs=1e-6)


def test_persons_are_matched_to_the_queries_that_fit_and_only_those_learn_an_action():
    boxes = torch.tensor([[[0.2, 0.2, 0.1, 0.1], [0.8, 0.8, 0.1, 0.1], [0.0, 0.0, 0.0, 0.0]]])
    there, actions = torch.tensor([[True, True, False]]), torch.tensor([[1, 0, 0]])
    found = torch.tensor([[[[0.8, 0.8, 0.1, 0.1], [0.5, 0.5, 0.1, 0.1], [0.2, 0.2, 0.1, 0.1]]]])
    output = PersonOutput(torch.zeros(1, 1, 3), found, torch.zeros(1, 1, 3, 2))
    _, _, true, query = matched(person_costs(output, boxes, ONES), there)
    assert dict(zip(true.tolist(), query.tolist(), strict=True)) == {0: 2, 1: 0}
    losses = person_losses(output, boxes, actions, there, ONES)
    assert float(losses["person_box"]) == pytest.approx(0, abs=1e-6)
    assert float(losses["person_overlap"]) == pytest.approx(0, abs=1e-5)
    half = math.log(2) * 0.25  # focal of probability 1/2, before alpha
    assert float(losses["person_class"]) == pytest.approx((2 * 0.25 + 0.75) * half / 2, rel=1e-5)
    assert float(losses["person_action"]) == pytest.approx(2 * (0.25 + 0.75) * half / 2, rel=1e-5)
