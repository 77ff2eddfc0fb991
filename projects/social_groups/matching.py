"""Which query answers for which group: the ECCV paper's cost, and the Hungarian matching that minimises it.

    H_ij  = η_v Hv_ij + η_s Hs_ij + η_u Hu_ij          for a true group i and a query j
    Hv_ij = −( v_i · v^_j + (1 − v_i) · (1 − v^_j) ) / N_v
    Hs_ij = | s_i − s^_j |
    Hu_ij = (1 / S_i) Σ_{k ≤ S_i} ‖ u_k^(i) − u^_k^(j) ‖₁

A true group's members are in order of ascending x [our choice: the paper compares points by their place, and does not tell us the order].
Groups are padded to the number of queries; padding costs nothing, so that only true groups need rows here.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from projects.social_groups.config import Weights
from projects.social_groups.model import GroupOutput


@dataclass(frozen=True)
class Targets:
    """The true groups of a batch, padded to k a scene: `real` (b, k), activities (b, k, N_v), sizes (b, k) in parts of M, points (b, k, M, 2),
    `present` (b, k, M): which of the points exist."""

    real: Tensor
    activities: Tensor
    sizes: Tensor
    points: Tensor
    present: Tensor

    @classmethod
    def of(cls, boxes: Tensor, groups: Tensor, activities: Tensor, *, members: int, kinds: int) -> "Targets":
        """From the tensors of `data.Split`. A group of more than `members` is an error: its last members could not be told."""
        b, k = activities.shape
        real = activities >= 0
        label = torch.zeros(b, k, kinds)
        label[real] = torch.nn.functional.one_hot(activities[real], kinds).float()
        points, present = torch.zeros(b, k, members, 2), torch.zeros(b, k, members, dtype=torch.bool)
        for row, group in real.nonzero().tolist():
            centres = boxes[row, groups[row] == group, :2]
            if len(centres) > members:
                raise ValueError(f"a group has {len(centres)} members, the model has slots for {members}")
            points[row, group, : len(centres)] = centres[centres[:, 0].argsort()]
            present[row, group, : len(centres)] = True
        return cls(real, label, present.sum(-1) / members, points, present)


def costs(output: GroupOutput, targets: Targets, weights: Weights) -> Tensor:
    """H of every layer (l, b, k, g)."""
    believed = output.activities.sigmoid()[:, :, None]  # l b 1 g N_v
    label = targets.activities[None, :, :, None]  # 1 b k 1 N_v
    activity = -(label * believed + (1 - label) * (1 - believed)).mean(-1)
    size = (targets.sizes[None, :, :, None] - output.sizes[:, :, None]).abs()
    apart = (targets.points[None, :, :, None] - output.points[:, :, None]).abs().sum(-1)  # l b k g M
    present = targets.present[None, :, :, None]
    points = (apart * present).sum(-1) / present.sum(-1).clamp(min=1)
    return weights.cost_activity * activity + weights.cost_size * size + weights.cost_points * points


def matched(cost: Tensor, real: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The matching of least cost: for each pair its layer, scene, true group and query. cost (l, b, k, g), real (b, k)."""
    found: list[NDArray[np.int64]] = []
    array, exists = cost.detach().cpu().numpy(), real.cpu().numpy()
    for layer, scene in np.ndindex(*array.shape[:2]):
        true = np.flatnonzero(exists[scene])
        rows, columns = linear_sum_assignment(array[layer, scene, true])
        found.append(np.stack([np.full_like(rows, layer), np.full_like(rows, scene), true[rows], columns]))
    pairs = torch.from_numpy(np.concatenate(found, axis=1)).to(cost.device)
    return pairs[0], pairs[1], pairs[2], pairs[3]
