"""The individual path: matching and losses of persons, as in Deformable DETR, and of their actions."""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from projects.social_groups.config import Weights
from projects.social_groups.losses import ALPHA, GAMMA, focal
from projects.social_groups.model import PersonOutput


def corners(boxes: Tensor) -> Tensor:
    """Centre, width and height (…, 4) -> left, top, right, bottom."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def overlaps(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU (Rezatofighi et al. 2019) of boxes that broadcast, (…, 4) by centre and size."""
    one, other = corners(a), corners(b)
    inner = (torch.minimum(one, other)[..., 2:] - torch.maximum(one, other)[..., :2]).clamp(min=0).prod(-1)
    outer = (torch.maximum(one, other)[..., 2:] - torch.minimum(one, other)[..., :2]).clamp(min=0).prod(-1)
    union = (a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - inner).clamp(min=1e-9)
    return inner / union, inner / union - (outer - union) / outer.clamp(min=1e-9)


def person_losses(
    output: PersonOutput, boxes: Tensor, actions: Tensor, there: Tensor, weights: Weights
) -> dict[str, Tensor]:
    """Losses by the names of their weights; boxes (b, p, 4), actions and `there` (b, p) are the true persons'."""
    layer, scene, true, query = matched_persons(output, boxes, there, weights)
    count = there.sum().clamp(min=1)
    label, action = torch.zeros_like(output.persons), torch.zeros_like(output.actions)
    label[layer, scene, query] = 1.0
    action[layer, scene, query, actions[scene, true]] = 1.0
    found, wanted = output.boxes[layer, scene, query], boxes[scene, true]
    return {
        "person_class": focal(output.persons, label).sum() / count,
        "person_box": (found - wanted).abs().sum() / count,
        "person_overlap": (1 - overlaps(found, wanted)[1]).sum() / count,
        # The actions of queries without a person are nobody's: they are not supervised.
        "person_action": focal(output.actions[layer, scene, query], action[layer, scene, query]).sum() / count,
    }


def matched_persons(
    output: PersonOutput, boxes: Tensor, there: Tensor, weights: Weights
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The matching of least cost: for each pair its layer, scene, true person and query."""
    p = output.persons.detach().sigmoid()
    hit = -ALPHA * (1 - p) ** GAMMA * (p + 1e-8).log()
    miss = -(1 - ALPHA) * p**GAMMA * (1 - p + 1e-8).log()
    found, wanted = output.boxes.detach()[:, :, None], boxes[None, :, :, None]
    cost = weights.person_class * (hit - miss)[:, :, None]
    cost = cost + weights.person_box * (found - wanted).abs().sum(-1)
    array = (cost - weights.person_overlap * overlaps(found, wanted)[1]).cpu().numpy()
    exists = there.cpu().numpy()
    pairs = []
    for layer, scene in np.ndindex(*array.shape[:2]):
        true = np.flatnonzero(exists[scene])
        rows, columns = linear_sum_assignment(array[layer, scene, true])
        pairs.append(np.stack([np.full_like(rows, layer), np.full_like(rows, scene), true[rows], columns]))
    every = torch.from_numpy(np.concatenate(pairs, axis=1)).to(boxes.device)
    return every[0], every[1], every[2], every[3]
