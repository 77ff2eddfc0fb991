"""Table `faithfulness`: the tests of attention as explanation, for raw and for effective attention (C9).

Jain & Wallace 2019: does a token's weight agree with its gradient, and with what occluding it does; can weights be
shuffled, or be made quite different, without a change of the prediction? Wiegreffe & Pinter 2019: how good is a model
with uniform weights, and how far apart are the weights of two seeds? Serrano & Smith 2019: what does erasing weights
do? Formulas only, none of the released code.

Occlusion is done in place: the token becomes padding, which no other token sees, and all others keep their positions.
Jain and Wallace remove the token, from the input of a recurrent network; in a transformer with absolute positions that
moves every later token by one position too, and measures this shift more than the token. Removal is kept as a second
column.

A weight of a token is the mean over heads. E1 and E2 can be negative: they enter as they are where a test needs an
order or a product, and without their negative entries, made to sum to 1, where it needs a distribution.
"""

from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from projects.explaining.analyses import perturbations
from projects.explaining.analyses.distances import jsd, kendall, positive, tvd
from projects.explaining.analyses.explained_layer import (
    VALIDATION,
    ExplainedTexts,
    explained_texts,
    mean,
    percent,
)
from projects.explaining.analyses.replacements import replaced
from projects.explaining.config import Config
from projects.explaining.data import PADDING
from projects.explaining.models.classifier import ExplainedLayer, hidden_of, mix_values
from projects.explaining.tasks.classification import uniform_accuracy
from regard_lab.experiment.run_result import RunResult

SIGNIFICANT = 0.05
AT_ONCE = 64  # occluded copies of a text


def run(config: Config, folder: Path) -> RunResult:
    """Raw attention or one definition, on one data set."""
    root, settings = Path.cwd(), config.analysis
    uniform = uniform_accuracy(config, root)
    other = explained_texts(config, root, seed=config.seed + 1)
    texts = explained_texts(config, root)
    rows = replaced(settings.attention, texts.layer, texts.special, config.seed)
    rows_other = replaced(settings.attention, other.layer, other.special, config.seed)
    weights = rows.mean(1)
    occluded = min(settings.occluded, len(weights))
    tau_gradient, significant_gradient = agreement(texts, weights, gradient_importance(texts))
    in_place = occlusion_importance(texts, occluded)
    by_removal = occlusion_importance(texts, occluded, in_place=False)
    tau_occlusion, significant_occlusion = agreement(texts, weights[:occluded], in_place)
    tau_removal, significant_removal = agreement(texts, weights[:occluded], by_removal)
    return RunResult(
        metrics={
            "tau_raw": agreement(texts, weights, texts.layer.attention.mean(1))[0],
            "jsd_raw": mean(jsd(positive(rows), texts.layer.attention)),
            "special_mass": 100 * mean((weights * texts.special).sum(-1)),
            "tau_gradient": tau_gradient,
            "significant_gradient": significant_gradient,
            "top_gradient": percent(heaviest(texts, weights) == heaviest(texts, gradient_importance(texts))),
            "tau_occlusion": tau_occlusion,
            "significant_occlusion": significant_occlusion,
            "top_occlusion": percent(heaviest(texts, weights[:occluded]) == heaviest(texts, in_place)),
            "tau_removal": tau_removal,
            "significant_removal": significant_removal,
            "tau_occlusions": agreement(texts, in_place, by_removal)[0],
            "permutation": perturbations.permutation(texts, rows, settings.shuffles, config.seed),
            "adversary_jsd": perturbations.adversary(
                texts, rows, settings.adversaries, settings.adversary_steps, config.seed
            ),
            "seeds_jsd": float(jsd(positive(rows.mean(1)), positive(rows_other.mean(1))).median()),
            **perturbations.erasure(texts, positive(rows), config.seed),
            "longer": texts.longer(),
            "accuracy": texts.trained.accuracy,
            "uniform_accuracy": uniform,
        },
        curves={VALIDATION: texts.trained.epochs},
    )


def agreement(texts: ExplainedTexts, a: Tensor, b: Tensor) -> tuple[float, float]:
    """Kendall's τ of two importances `(t, m)` over each text's real tokens, without the special ones.

    Returns:
        Its mean over texts, and the share of texts with p ≤ 0.05 in %.
    """
    correlations = []
    for text in range(len(a)):
        real = texts.layer.mask[text] & ~texts.special[text]
        if int(real.sum()) > 1:
            correlations.append(kendall(a[text], b[text], real))
    taus = torch.tensor([tau for tau, _ in correlations], dtype=torch.float64)
    return mean(taus), 100 * mean(torch.tensor([float(p <= SIGNIFICANT) for _, p in correlations]))


def heaviest(texts: ExplainedTexts, importance: Tensor) -> Tensor:
    """The place of the most important token of each text, special ones left out: `(t, m)` -> `(t)`."""
    free = (texts.layer.mask & ~texts.special)[: len(importance)]
    return importance.masked_fill(~free, -torch.inf).argmax(-1)


@lru_cache(maxsize=2)
def gradient_importance(texts: ExplainedTexts) -> Tensor:
    """|∂ y / ∂ x_j · x_j| for the likeliest class's probability y, each text's made to sum to 1: `(t, m)`.

    The explained attention is held fixed, as in Jain and Wallace: the weights are to be compared with what flows past
    them. The gradient is that of torch's autograd on the embeddings x, which is what Captum's `InputXGradient` asks
    for.
    """
    model = texts.model
    tokens = texts.tokens
    embedded = model.embed(tokens).detach().requires_grad_(True)
    mask = tokens != 0
    layer = model.explained_layer(model.lower(embedded, mask), mask)
    fixed = ExplainedLayer(layer.attention.detach(), layer.values, layer.keys, layer.mask, layer.residual)
    probabilities = model.classify(fixed, mix_values(fixed.attention, fixed)).softmax(-1)
    likeliest = probabilities.gather(-1, texts.predicted.argmax(-1, keepdim=True)).sum()
    (gradient,) = torch.autograd.grad(likeliest, embedded)
    flow = (gradient * embedded.detach()).sum(-1).abs() * mask
    return flow / flow.sum(-1, keepdim=True).clamp(min=1e-300)


@lru_cache(maxsize=4)
@torch.no_grad()
def occlusion_importance(texts: ExplainedTexts, count: int, *, in_place: bool = True) -> Tensor:
    """The total variation of the prediction when token j is occluded, for the first `count` texts.

    Args:
        texts: The texts that are explained.
        count: How many of them are occluded.
        in_place: Does token j become padding where it stands? False: it is removed, and later tokens move up by one
            position. Default: True.

    Returns:
        `(count, m)`, 0 at padding.
    """
    importance = torch.zeros(count, texts.tokens.shape[1], dtype=torch.float64, device=texts.tokens.device)
    for text in range(count):
        real = texts.tokens[text][texts.layer.mask[text]]
        n = len(real)
        if n < 2:
            continue
        without = occluded_copies(real, in_place=in_place)
        for part in torch.split(torch.arange(n), AT_ONCE):
            tokens = without[part]
            hidden = hidden_of(texts.model, tokens, AT_ONCE)
            after = texts.model.upper(hidden, tokens != PADDING).softmax(-1)
            importance[text, part] = tvd(after, texts.predicted[text])
    return importance


def occluded_copies(real: Tensor, *, in_place: bool) -> Tensor:
    """Copies of a text `(n)`, in the j-th of which token j is padding `(n, n)`, or removed `(n, n - 1)`."""
    n = len(real)
    if in_place:
        return real.expand(n, n).masked_fill(torch.eye(n, dtype=torch.bool, device=real.device), PADDING)
    return torch.stack([torch.cat([real[:j], real[j + 1 :]]) for j in range(n)])
