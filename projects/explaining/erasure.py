"""Serrano and Smith's erasure: weights set to 0, the rest made to sum to 1 again, the rest of the model run anew.

One weight: does taking the heaviest away change more than taking another? All, in an order, until the likeliest class is another one: how many
must go? A text whose class never changes counts as all.
"""

import torch
from torch import Tensor

from projects.explaining.looked import Looked, mean, percent
from projects.explaining.looking import mixed
from projects.explaining.measures import flips, jsd


def measures(found: Looked, rows: Tensor, seed: int) -> dict[str, float]:
    """`rows` (t, h, m) are distributions; a token's weight is the mean over heads, and its weights in all heads are erased together."""
    generator = torch.Generator().manual_seed(seed)
    weights = rows.mean(1)
    real = found.seen.mask
    chance = torch.rand(weights.shape, generator=generator, dtype=torch.float64)
    top = weights.masked_fill(~real, -1).argmax(-1)
    another = chance.masked_fill(~real, -1).scatter(-1, top[:, None], -1).argmax(-1)
    with torch.no_grad():
        before = found.probabilities(rows)
        after_top, after_other = (found.probabilities(erased(rows, one_hot(place, real))) for place in (top, another))
    top_flips, other_flips = flips(after_top, before), flips(after_other, before)
    orders = {"": weights, "_random": chance, "_gradient": gradient_order(found, rows)}
    return {
        "erasure_gain": mean(jsd(after_top, before) - jsd(after_other, before)),
        "flips_top_alone": percent(top_flips & ~other_flips),
        "flips_other_alone": percent(other_flips & ~top_flips),
        **{f"removed_to_flip{name}": 100 * mean(removed_to_flip(found, rows, order)) for name, order in orders.items()},
    }


def one_hot(place: Tensor, real: Tensor) -> Tensor:
    """Boolean (t, m), True at each text's place."""
    return torch.zeros_like(real).scatter(-1, place[:, None], True)


def erased(rows: Tensor, gone: Tensor) -> Tensor:
    """Weights (t, h, m) without those tokens (…, t, m), made to sum to 1; where nothing is left, nothing."""
    kept = rows * ~gone[..., None, :]
    return kept / kept.sum(-1, keepdim=True).clamp(min=1e-300)


def gradient_order(found: Looked, rows: Tensor) -> Tensor:
    """Weight × the gradient of the likeliest class's probability with respect to it, summed over heads (t, m)."""
    weights = rows.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        probabilities = found.model.decide(found.seen, mixed(weights, found.seen)).softmax(-1)
        (gradient,) = torch.autograd.grad(probabilities.amax(-1).sum(), weights)
    return (gradient * weights.detach()).sum(1)


@torch.no_grad()
def removed_to_flip(found: Looked, rows: Tensor, order: Tensor) -> Tensor:
    """Which share of a text's tokens must go, in falling `order` (t, m), before its likeliest class is another (t)."""
    real = found.seen.mask
    rank = order.masked_fill(~real, -torch.inf).argsort(-1, descending=True).argsort(-1)  # 0: goes first
    count = real.sum(-1)
    steps = torch.arange(1, rows.shape[-1])
    share = torch.ones(len(rows), dtype=torch.float64)
    for text in range(len(rows)):
        part = found.seen.part(slice(text, text + 1))
        gone = rank[text][None, None] < steps[: count[text] - 1, None, None]  # k 1 m
        if not len(gone):
            continue
        logits = found.model.decide(part, mixed(erased(rows[text : text + 1], gone), part))
        before = found.model.decide(part, mixed(rows[text : text + 1], part)).argmax(-1)
        changed = (logits.argmax(-1) != before)[:, 0]
        if changed.any():
            share[text] = float(changed.to(torch.uint8).argmax() + 1) / float(count[text])
    return share
