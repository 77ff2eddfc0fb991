"""Other weights, the same prediction? Tests that change the weights of the explained layer, from their formulas.

Jain and Wallace: permutations of the weights, and adversaries that are as different as possible. Serrano and Smith:
erasure. Weights are set to 0, the rest made to sum to 1 again, and the rest of the model run again. Of one weight: does
taking the heaviest away change more than taking another? Of all, in an order, until the likeliest class is another one:
how many must go?
"""

import math

import torch
from torch import Tensor

from projects.explaining.analyses.distances import flips, jsd, positive, tvd
from projects.explaining.analyses.explained_layer import ExplainedTexts, mean, percent
from projects.explaining.analyses.replacements import shuffled
from projects.explaining.models.classifier import mix_values

ALLOWED = 0.05  # total variation of the prediction that an adversary may cause
AIMED = 0.01  # total variation from which it is penalised
PENALTY = 500.0
RATE = 0.01
NOISE = 3.0


@torch.no_grad()
def permutation(texts: ExplainedTexts, rows: Tensor, times: int, seed: int) -> float:
    """The median over `times` shuffles of the prediction's total variation from that of the rows themselves, mean over texts. Special tokens stay."""
    free = texts.layer.mask & ~texts.special
    moved = shuffled(rows, free, times, torch.Generator().manual_seed(seed))
    after = torch.stack([texts.probabilities(one) for one in moved])
    return mean(tvd(after, texts.probabilities(rows)).median(0).values)


def adversary(texts: ExplainedTexts, rows: Tensor, count: int, steps: int, seed: int) -> float:
    """The largest JSD (mean over heads) of weights that move the prediction by no more than `ALLOWED`, mean over texts; 0 where none was found.

    `count` distributions per text start from noise in their logits and climb JSD(adversary, weights) + their JSD from
    each other's mean, less `PENALTY` · max(0, change − `AIMED`), in `steps` steps of Adam (amsgrad).
    """
    base, before = positive(rows), texts.probabilities(rows).detach()
    mask = texts.layer.mask[:, None]
    generator = torch.Generator().manual_seed(seed)
    start = NOISE * torch.randn(count, *rows.shape, generator=generator, dtype=torch.float64).to(rows.device)
    logits = start.requires_grad_(True)
    optimiser = torch.optim.Adam([logits], lr=RATE, amsgrad=True)
    for _ in range(steps):
        optimiser.zero_grad()
        weights, distance, change = state(logits, mask, base, before, texts)
        apart = jsd(weights, weights.mean(0, keepdim=True).detach()).mean(-1)
        loss = -(distance + apart).sum() + PENALTY * (change - AIMED).clamp(min=0).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        _, distance, change = state(logits, mask, base, before, texts)
        best = torch.where(change <= ALLOWED, distance, 0).amax(0)
    return min(mean(best), math.log(2))


def state(
    logits: Tensor, mask: Tensor, base: Tensor, before: Tensor, texts: ExplainedTexts
) -> tuple[Tensor, Tensor, Tensor]:
    """The adversaries' weights `(k, t, h, m)`, their JSD from the base `(k, t)`, and the total variation that they cause `(k, t)`."""
    weights = logits.masked_fill(~mask, -torch.inf).softmax(-1)
    after = texts.probabilities(weights)
    return weights, jsd(weights, base).mean(-1), tvd(after, before)


def erasure(texts: ExplainedTexts, rows: Tensor, seed: int) -> dict[str, float]:
    """Serrano and Smith's measures, by name.

    Args:
        texts: The texts that are explained.
        rows: Distributions `(t, h, m)`; a token's weight is the mean over heads, and its weights in all heads are
            erased together.
        seed: Of the random orders.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = rows.mean(1)
    real = texts.layer.mask
    chance = torch.rand(weights.shape, generator=generator, dtype=torch.float64).to(weights.device)
    top = weights.masked_fill(~real, -1).argmax(-1)
    another = chance.masked_fill(~real, -1).scatter(-1, top[:, None], -1).argmax(-1)
    with torch.no_grad():
        before = texts.probabilities(rows)
        after_top, after_other = (texts.probabilities(erased(rows, one_hot(token, real))) for token in (top, another))
    top_flips, other_flips = flips(after_top, before), flips(after_other, before)
    orders = {"": weights, "_random": chance, "_gradient": gradient_order(texts, rows)}
    return {
        "erasure_gain": mean(jsd(after_top, before) - jsd(after_other, before)),
        "flips_top_alone": percent(top_flips & ~other_flips),
        "flips_other_alone": percent(other_flips & ~top_flips),
        **{f"removed_to_flip{name}": 100 * mean(removed_to_flip(texts, rows, order)) for name, order in orders.items()},
    }


def one_hot(token: Tensor, real: Tensor) -> Tensor:
    """Boolean `(t, m)`, True at one token `(t)` of each text."""
    return torch.zeros_like(real).scatter(-1, token[:, None], True)


def erased(rows: Tensor, gone: Tensor) -> Tensor:
    """Weights `(t, h, m)` without the tokens `gone`, `(…, t, m)`, made to sum to 1; 0 where none is left."""
    kept = rows * ~gone[..., None, :]
    return kept / kept.sum(-1, keepdim=True).clamp(min=1e-300)


def gradient_order(texts: ExplainedTexts, rows: Tensor) -> Tensor:
    """Weight × the gradient of the likeliest class's probability with respect to it, summed over heads: `(t, m)`."""
    weights = rows.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        probabilities = texts.model.classify(texts.layer, mix_values(weights, texts.layer)).softmax(-1)
        (gradient,) = torch.autograd.grad(probabilities.amax(-1).sum(), weights)
    return (gradient * weights.detach()).sum(1)


@torch.no_grad()
def removed_to_flip(texts: ExplainedTexts, rows: Tensor, order: Tensor) -> Tensor:
    """Which share of a text's tokens must go, in falling `order` `(t, m)`, before its likeliest class is another: `(t)`, 1 if it never is."""
    real = texts.layer.mask
    rank = order.masked_fill(~real, -torch.inf).argsort(-1, descending=True).argsort(-1)  # 0: goes first
    count = real.sum(-1)
    steps = torch.arange(1, rows.shape[-1], device=rows.device)
    share = torch.ones(len(rows), dtype=torch.float64)
    for text in range(len(rows)):
        part = texts.layer.part(slice(text, text + 1))
        gone = rank[text][None, None] < steps[: count[text] - 1, None, None]  # k 1 m
        if not len(gone):
            continue
        logits = texts.model.classify(part, mix_values(erased(rows[text : text + 1], gone), part))
        before = texts.model.classify(part, mix_values(rows[text : text + 1], part)).argmax(-1)
        changed = (logits.argmax(-1) != before)[:, 0]
        if changed.any():
            share[text] = float(changed.to(torch.uint8).argmax() + 1) / float(count[text])
    return share
