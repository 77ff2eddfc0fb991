"""The ECCV paper's matching of queries to groups, and its losses of groups, summed over the decoder's layers.

    H_ij  = η_v Hv_ij + η_s Hs_ij + η_u Hu_ij          for a true group i and a query j; a Hungarian matching ω minimises it
    Hv_ij = −( v_i · v^_j + (1 − v_i) · (1 − v^_j) ) / N_v
    Hs_ij = | s_i − s^_j |
    Hu_ij = (1 / S_i) Σ_{k ≤ S_i} ‖ u_k^(i) − u^_k^(j) ‖₁

    L_v = (1 / |Φ̄|) Σ_i focal(v_i, v^_ω(i))           a padding group's target is the zero vector
    L_s = (1 / |Φ̄|) Σ_{i real} | s_i − s^_ω(i) |
    L_u = (1 / |Φ̄|) Σ_{i real} Σ_{j ≤ S_i} ‖ u_j^(i) − u^_j^(ω(i)) ‖₁

A true group's members are in order of ascending x [our choice: the paper compares points by their index, and does not tell us the order].
Groups are padded to the number of queries; padding costs nothing, so that only true groups need rows here. |Φ̄| is the number of real groups
in the batch. The cost of points is a mean over members, their loss a sum, as in the paper.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from projects.social_groups.config import Weights
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
    """

    real: Tensor
    activities: Tensor
    sizes: Tensor
    points: Tensor
    present: Tensor

    @classmethod
    def of(cls, boxes: Tensor, groups: Tensor, activities: Tensor, *, members: int, kinds: int) -> "Targets":
        """The targets of a batch.

        Args:
            boxes: As `data.Split` has them, `(b, p, 4)`.
            groups: `(b, p)`.
            activities: `(b, k)`.
            members: M, the most members of a group.
            kinds: N_v, how many activities there are.

        Raises:
            ValueError: A group has more than `members`: its last members could not be told.
        """
        b, k = activities.shape
        real = activities >= 0
        label = boxes.new_zeros(b, k, kinds)
        label[real] = F.one_hot(activities[real], kinds).to(label)
        points = boxes.new_zeros(b, k, members, 2)
        present = torch.zeros(b, k, members, dtype=torch.bool, device=boxes.device)
        for row, group in real.nonzero().tolist():
            centres = boxes[row, groups[row] == group, :2]
            if len(centres) > members:
                raise ValueError(f"a group has {len(centres)} members, the model has slots for {members}")
            points[row, group, : len(centres)] = centres[centres[:, 0].argsort()]
            present[row, group, : len(centres)] = True
        return cls(real, label, present.sum(-1) / members, points, present)


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
    """L_v, L_s and L_u under the names of their weights: `activity`, `size`, `points`."""
    layer, scene, true, query = matched(costs(output, targets, weights), targets.real)
    count = targets.real.sum().clamp(min=1)
    label = torch.zeros_like(output.activities)
    label[layer, scene, query] = targets.activities[scene, true]
    apart = (targets.points[scene, true] - output.points[layer, scene, query]).abs().sum(-1)
    return {
        "activity": focal(output.activities, label).sum() / count,
        "size": (targets.sizes[scene, true] - output.sizes[layer, scene, query]).abs().sum() / count,
        "points": (apart * targets.present[scene, true]).sum() / count,
    }
