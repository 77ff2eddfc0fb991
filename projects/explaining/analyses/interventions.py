"""Table `interventions`: is the effective part sufficient, necessary, minimal? And does attention matter at all? (C4, C5, C6, C8)

Kept: the replacement X takes the place of the attention A. Removed: A − X does. A definition that keeps the output
changes nothing when it is kept, by construction; the controls give the scale, and the effect of its removal is that of
all of the attention.

A weight j of a row x is *needed* when no other weights on the rest of x's support, negative ones only if x has any,
give the same output xᵀT and the same sum. With r_i the row of [T, 1] of token i, that is when

    r_j = Σ_i d_i r_i,     d_i ≥ −x_i / x_j  (any d_i where x has negative weights)     i on the rest of the support

has no solution. Of a vertex of S(a) all weights are needed; of a row inside S(a) none is. One relative `TOLERANCE`
decides what is a weight (a share of the row's largest), what is the same output (a share of r_j, however small x_j is)
and which of two norms is smaller. Absolute limits contradict each other: a weight between them counts as one, and is
never missed.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from torch import Tensor

from projects.explaining.analyses.distances import flips, jsd, tvd
from projects.explaining.analyses.explained_layer import (
    TOLERANCE,
    VALIDATION,
    ExplainedTexts,
    explained_texts,
    mean,
    percent,
)
from projects.explaining.analyses.replacements import effective, replaced
from projects.explaining.config import Config
from projects.explaining.models.classifier import ExplainedLayer
from projects.explaining.tasks.classification import uniform_accuracy
from regard.effective import null_dimension
from regard_lab.experiment.run_result import RunResult

MOST_TEXTS = 12  # of which weights are removed in turn
TRIED = 6  # weights per row
EXACT = 1e-15  # where the least squares stop, far below `TOLERANCE`


def run(config: Config, folder: Path) -> RunResult:
    """One replacement in the explained layer of the texts."""
    uniform = uniform_accuracy(config, Path.cwd())
    texts = explained_texts(config, Path.cwd())
    with torch.no_grad():
        return measure(texts, config, uniform)


def measure(texts: ExplainedTexts, config: Config, uniform: float) -> RunResult:
    """What the replacement does; `uniform` is the accuracy of the classifier with uniform weights."""
    layer = texts.layer
    instead = replaced(config.analysis.attention, layer, texts.special, config.seed)
    kept, removed = (texts.probabilities(weights) for weights in (instead, layer.attention - instead))
    few = min(MOST_TEXTS, len(layer.mask))
    return RunResult(
        metrics={
            "kept_jsd": mean(jsd(kept, texts.predicted)),
            "kept_tvd": mean(tvd(kept, texts.predicted)),
            "kept_largest": float(tvd(kept, texts.predicted).max()),
            "kept_flips": percent(flips(kept, texts.predicted)),
            "removed_jsd": mean(jsd(removed, texts.predicted)),
            "removed_tvd": mean(tvd(removed, texts.predicted)),
            "removed_flips": percent(flips(removed, texts.predicted)),
            "support": mean(on_support(instead).sum(-1)),
            "rank": mean(rank_with_ones(layer)),
            "norm": 100 * mean(instead.norm(dim=-1) / layer.attention.norm(dim=-1)),
            "not_smaller": percent(not_smaller(instead, effective("E4", layer))),
            "needed": 100 * needed(instead[:few], layer.part(slice(few))),
            "longer": texts.longer(),
            "accuracy": texts.trained.accuracy,
            "uniform_accuracy": uniform,
        },
        curves={VALIDATION: texts.trained.epochs},
    )


def rank_with_ones(layer: ExplainedLayer) -> Tensor:
    """rank([T, 1]) of each head, `(t, h)`: no vertex has more weights."""
    real = layer.mask[:, None].expand(layer.attention.shape)
    return real.sum(-1) - null_dimension(layer.values, key_mask=real, sum_zero=True)


def on_support(weights: Tensor) -> Tensor:
    """Which weights `(…, m)` are more than rounding, against the largest of their row."""
    carried: Tensor = weights.abs() > TOLERANCE * weights.abs().amax(-1, keepdim=True)
    return carried


def not_smaller(weights: Tensor, smallest: Tensor) -> Tensor:
    """Which rows `(t, h)` of `weights` `(t, h, m)` have no smaller norm than those of `smallest`."""
    holds: Tensor = weights.norm(dim=-1) >= (1 - TOLERANCE) * smallest.norm(dim=-1)
    return holds


def needed(weights: Tensor, layer: ExplainedLayer) -> float:
    """The share of weights that are needed.

    Args:
        weights: `(t, h, m)`; `TRIED` weights of each text's first head are tried, spread from the heaviest to the
            lightest.
        layer: The explained layer.
    """
    outcomes: list[bool] = []
    for row, carried, values in zip(
        weights[:, 0].cpu().numpy(),
        on_support(weights[:, 0]).cpu().numpy(),
        layer.values[:, 0].cpu().numpy(),
        strict=True,
    ):
        support = np.flatnonzero(carried)
        if not len(support):
            continue
        scale = max(float(np.abs(values[support]).max()), np.finfo(np.float64).tiny)
        tokens = np.concatenate([values[support] / scale, np.ones((len(support), 1))], 1)  # support × (e + 1)
        own = row[support]
        heavy_first = np.argsort(-np.abs(own), kind="stable")
        places = np.unique(np.linspace(0, len(support) - 1, min(TRIED, len(support))).astype(int))
        outcomes += [is_needed(tokens, own, heavy_first[place]) for place in places]
    return float(np.mean(outcomes)) if outcomes else 0.0


def is_needed(tokens: NDArray[np.float64], weights: NDArray[np.float64], place: int) -> bool:
    """Can the weight at `place` not be taken over by the others?

    Args:
        tokens: Rows of [T, 1] on the support, `(s, e + 1)`.
        weights: Theirs, `(s)`, none of them 0.
        place: Of the weight that is to go.
    """
    target, rest = tokens[place], np.delete(tokens, place, 0)
    if not len(rest):
        return True
    change = np.linalg.lstsq(rest.T, target, rcond=None)[0]
    if _misses(change @ rest, target):
        return True  # not even with weights of any sign
    if (weights < 0).any():
        return False
    lowest = -np.delete(weights, place) / weights[place]
    if (change >= lowest).all():
        return False
    bounded = lsq_linear(rest.T, target, (lowest, np.inf), method="bvls", tol=EXACT, max_iter=20 * len(rest))
    return _misses(bounded.x @ rest, target)


def _misses(reached: NDArray[np.float64], target: NDArray[np.float64]) -> bool:
    return bool(np.abs(reached - target).max() > TOLERANCE * np.abs(target).max())
