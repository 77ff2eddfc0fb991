"""The ECCV paper's matching of queries to groups, and its losses of groups, summed over the decoder's layers.

    H_ij  = η_v Hv_ij + η_s Hs_ij + η_u Hu_ij          for a true group i and a query j; a Hungarian matching ω minimises it
    Hv_ij = −( v_i · v^_j + (1 − v_i) · (1 − v^_j) ) / N_v
    Hs_ij = | s_i − s^_j |
    Hu_ij = (1 / S_i) Σ_{k ≤ S_i} ‖ u_k^(i) − u^_k^(j) ‖₁

    L_v = (1 / |Φ̄|) Σ_i focal(v_i, v^_ω(i))           a padding group's target is the zero vector
    L_s = (1 / |Φ̄|) Σ_{i real} | s_i − s^_ω(i) |
    L_u = (1 / |Φ̄|) Σ_{i real} Σ_{j ≤ S_i} ‖ u_j^(i) − u^_j^(ω(i)) ‖₁

A true group's members are in order of ascending x by default [our choice: the paper compares points by their index, and
does not tell us the order]. Two terms are ours and not the paper's, each with a weight of its own: the cross entropy of
a matched query's activities, and that of the action of each member's slot. Groups are padded to the number of queries;
padding costs nothing, so that only true groups need rows here. |Φ̄| is the number of real groups in the batch. The cost
of points is a mean over members, their loss a sum, as in the paper.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from projects.social_groups.config import PointOrder, Weights
from projects.social_groups.models.network import GroupOutput

ALPHA, GAMMA = 0.25, 2.0  # Deformable DETR's code


@dataclass(frozen=True)
class Targets:
    """The true groups of a batch, padded to k per scene.

    Attributes:
        real: Which of them exist, `(b, k)`.
        activities: What they do, one-hot, `(b, k, N_v)`.
        sizes: How many members they have, as fractions of M, `(b, k)`.
        points: Where their members are, `(b, k, M, 2)`.
        present: Which of the points exist, `(b, k, M)`.
        actions: What the members do, `(b, k, M)`; 0 where there is none.
    """

    real: Tensor
    activities: Tensor
    sizes: Tensor
    points: Tensor
    present: Tensor
    actions: Tensor

    @classmethod
    def of(
        cls,
        boxes: Tensor,
        actions: Tensor,
        groups: Tensor,
        activities: Tensor,
        *,
        members: int,
        kinds: int,
        order: PointOrder = "x",
    ) -> "Targets":
        """The targets of a batch, on the boxes' device and without a look at their values from the host.

        Args:
            boxes: As `data.painting.Split` has them, `(b, p, 4)`.
            actions: `(b, p)`.
            groups: `(b, p)`.
            activities: `(b, k)`.
            members: M, the most members of a group; a larger group loses its last members, which `data.splits` refuses
                before.
            kinds: N_v, how many activities there are.
            order: Of a group's members. Default: "x", from left to right.
        """
        real = activities >= 0
        number = torch.arange(activities.shape[1], device=boxes.device)
        inside = (groups[:, None] == number[:, None]) & real[..., None]  # b k p
        inside = F.pad(inside, (0, max(0, members - inside.shape[-1])))
        place = F.pad(sort_keys(boxes, order), (0, inside.shape[-1] - boxes.shape[1]))[:, None]
        rank = place.masked_fill(~inside, torch.inf).sort(stable=True, dim=-1).indices[..., :members]  # b k M
        present = inside.gather(-1, rank)
        member = rank.clamp(max=boxes.shape[1] - 1)
        scene = torch.arange(len(boxes), device=boxes.device)[:, None, None]
        points = boxes[..., :2][scene, member] * present[..., None]
        label = (activities[..., None] == torch.arange(kinds, device=boxes.device)).to(boxes)
        return cls(real, label, present.sum(-1) / members, points, present, actions[scene, member] * present)


def sort_keys(boxes: Tensor, order: PointOrder) -> Tensor:
    """What members are sorted by, `(b, p)`: their x, their y, or a number that looks random and depends on both."""
    x, y = boxes[..., 0], boxes[..., 1]
    match order:
        case "x":
            return x
        case "y":
            return y
        case "random":
            return (torch.sin(1e4 * x + 7e3 * y) * 1e4).frac()


def costs(output: GroupOutput, targets: Targets, weights: Weights) -> Tensor:
    """H of every layer, `(l, b, k, g)`."""
    believed = output.activities.sigmoid()[:, :, None]  # l b 1 g N_v
    label = targets.activities[None, :, :, None]  # 1 b k 1 N_v
    activity = -(label * believed + (1 - label) * (1 - believed)).mean(-1)
    size = (targets.sizes[None, :, :, None] - output.sizes[:, :, None]).abs()
    apart = (targets.points[None, :, :, None] - output.points[:, :, None]).abs().sum(-1)  # l b k g M
    present = targets.present[None, :, :, None]
    points = (apart * present).sum(-1) / present.sum(-1).clamp(min=1)
    return weights.cost_activity * activity + weights.cost_size * size + weights.cost_points * points


def matched(cost: Tensor, real: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The matching of least cost.

    Args:
        cost: Of every layer, scene, true group or person, and query: `(l, b, k, g)`.
        real: Which of the groups or persons exist, `(b, k)`.

    Returns:
        The layer, scene, true group or person, and query of each matched pair.
    """
    matches: list[NDArray[np.int64]] = []
    array, exists = cost.detach().float().cpu().numpy(), real.cpu().numpy()
    for layer, scene in np.ndindex(*array.shape[:2]):
        true = np.flatnonzero(exists[scene])
        rows, columns = linear_sum_assignment(array[layer, scene, true])
        matches.append(np.stack([np.full_like(rows, layer), np.full_like(rows, scene), true[rows], columns]))
    layers, scenes, trues, queries = torch.from_numpy(np.concatenate(matches, axis=1)).to(cost.device)
    return layers, scenes, trues, queries


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """Sigmoid focal loss (Lin et al. 2017), elementwise."""
    p = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    right = p * target + (1 - p) * (1 - target)
    return (ALPHA * target + (1 - ALPHA) * (1 - target)) * (1 - right) ** GAMMA * entropy


def group_losses(output: GroupOutput, targets: Targets, weights: Weights) -> dict[str, Tensor]:
    """L_v, L_s and L_u under the names of their weights, `activity`, `size` and `points`; of our two terms those whose weight is not 0."""
    layer, scene, true, query = matched(costs(output, targets, weights), targets.real)
    count = targets.real.sum().clamp(min=1)
    label = torch.zeros_like(output.activities)
    label[layer, scene, query] = targets.activities[scene, true]
    apart = (targets.points[scene, true] - output.points[layer, scene, query]).abs().sum(-1)
    present = targets.present[scene, true]
    terms = {
        "activity": focal(output.activities, label).sum() / count,
        "size": (targets.sizes[scene, true] - output.sizes[layer, scene, query]).abs().sum() / count,
        "points": (apart * present).sum() / count,
    }
    if weights.activity_softmax:
        likelihood = output.activities[layer, scene, query].log_softmax(-1)
        terms["activity_softmax"] = -(likelihood * targets.activities[scene, true]).sum() / count
    if weights.slot_action:
        likelihood = output.actions[layer, scene, query].log_softmax(-1)  # n M N_a
        said = likelihood.gather(-1, targets.actions[scene, true][..., None]).squeeze(-1)
        terms["slot_action"] = -(said * present).sum() / targets.present.sum().clamp(min=1)
    return terms
