"""The ECCV paper's losses of groups, summed over the decoder's layers.

    L_v = (1 / |Φ̄|) Σ_i focal(v_i, v^_ω(i))           a padding group's target is the zero vector
    L_s = (1 / |Φ̄|) Σ_{i real} | s_i − s^_ω(i) |
    L_u = (1 / |Φ̄|) Σ_{i real} Σ_{j ≤ S_i} ‖ u_j^(i) − u^_j^(ω(i)) ‖₁

|Φ̄| is the number of real groups, of the batch. The cost of points is a mean over members, their loss a sum: so it stands in the paper.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from projects.social_groups.config import Weights
from projects.social_groups.matching import Targets, costs, matched
from projects.social_groups.model import GroupOutput

ALPHA, GAMMA = 0.25, 2.0  # Deformable DETR's code


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
