"""The individual path: matching and losses of persons, as in Deformable DETR, and of their actions."""

import torch
from torch import Tensor

from projects.social_groups.config import Weights
from projects.social_groups.models.network import PersonOutput
from projects.social_groups.tasks.group_losses import ALPHA, GAMMA, focal, matched


def corners(boxes: Tensor) -> Tensor:
    """Centre, width and height `(…, 4)` -> left, top, right, bottom."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def overlaps(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU (Rezatofighi et al. 2019) of boxes that broadcast, `(…, 4)` by centre and size."""
    one, other = corners(a), corners(b)
    inner = (torch.minimum(one, other)[..., 2:] - torch.maximum(one, other)[..., :2]).clamp(min=0).prod(-1)
    outer = (torch.maximum(one, other)[..., 2:] - torch.minimum(one, other)[..., :2]).clamp(min=0).prod(-1)
    union = (a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - inner).clamp(min=1e-9)
    return inner / union, inner / union - (outer - union) / outer.clamp(min=1e-9)


def person_losses(
    output: PersonOutput, boxes: Tensor, actions: Tensor, real: Tensor, weights: Weights
) -> dict[str, Tensor]:
    """The losses under the names of their weights.

    Args:
        output: What each layer predicts.
        boxes: The true persons' boxes, `(b, p, 4)`.
        actions: Their actions, `(b, p)`.
        real: Which of them exist, `(b, p)`.
        weights: Those of the matching are those of the loss.
    """
    layer, scene, true, query = matched(person_costs(output, boxes, weights), real)
    count = real.sum().clamp(min=1)
    label, action = torch.zeros_like(output.persons), torch.zeros_like(output.actions)
    label[layer, scene, query] = 1.0
    action[layer, scene, query, actions[scene, true]] = 1.0
    predicted, wanted = output.boxes[layer, scene, query], boxes[scene, true]
    return {
        "person_class": focal(output.persons, label).sum() / count,
        "person_box": (predicted - wanted).abs().sum() / count,
        "person_overlap": (1 - overlaps(predicted, wanted)[1]).sum() / count,
        # Queries without a person have no action to learn.
        "person_action": focal(output.actions[layer, scene, query], action[layer, scene, query]).sum() / count,
    }


def person_costs(output: PersonOutput, boxes: Tensor, weights: Weights) -> Tensor:
    """The matching cost of every layer, scene, true person and query, `(l, b, p, q)`."""
    p = output.persons.detach().sigmoid()
    hit = -ALPHA * (1 - p) ** GAMMA * (p + 1e-8).log()
    miss = -(1 - ALPHA) * p**GAMMA * (1 - p + 1e-8).log()
    predicted, wanted = output.boxes.detach()[:, :, None], boxes[None, :, :, None]
    cost = weights.person_class * (hit - miss)[:, :, None]
    cost = cost + weights.person_box * (predicted - wanted).abs().sum(-1)
    return cost - weights.person_overlap * overlaps(predicted, wanted)[1]
