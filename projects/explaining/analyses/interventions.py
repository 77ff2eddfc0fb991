"""Table `interventions`: is the effective part sufficient, necessary, minimal? And does attention matter at all? (C4, C5, C6, C8)

Kept: the replacement X takes the place of the attention A. Removed: A − X does. A definition that keeps the output changes nothing when it is kept,
by construction; the controls give the scale, and the effect of its removal is that of all of the attention.

A weight j of a row x is *needed* when no other weights on the rest of x's support, negative ones only if x has any, give the same output xᵀT and
the same sum. Of a vertex of S(a) all weights are needed; of a row inside S(a) none is.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor

from projects.explaining.analyses.distances import flips, jsd, tvd
from projects.explaining.analyses.explained_layer import ExplainedTexts, explained_texts, mean, percent
from projects.explaining.analyses.replacements import replaced
from projects.explaining.config import Config
from projects.explaining.models.classifier import ExplainedLayer
from projects.explaining.tasks.classification import uniform_accuracy
from regard.effective import null_dimension
from regard_lab.experiment.run_result import RunResult

MOST_TEXTS = 12  # of which weights are removed in turn
VISIBLE = 1e-9  # a weight below this is rounding
MISSED = 1e-7  # error of the output from which it counts as missed
TRIED = 6  # weights per row


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
            "kept_flips": percent(flips(kept, texts.predicted)),
            "removed_jsd": mean(jsd(removed, texts.predicted)),
            "removed_tvd": mean(tvd(removed, texts.predicted)),
            "removed_flips": percent(flips(removed, texts.predicted)),
            "support": mean((instead.abs() > VISIBLE).sum(-1)),
            "rank": mean(rank_with_ones(layer)),
            "norm": 100 * mean(instead.norm(dim=-1) / layer.attention.norm(dim=-1)),
            "needed": 100 * needed(instead[:few], layer.part(slice(few))),
            "longer": texts.longer(),
            "accuracy": texts.trained.accuracy,
            "uniform_accuracy": uniform,
        }
    )


def rank_with_ones(layer: ExplainedLayer) -> Tensor:
    """rank([T, 1]) of each head, `(t, h)`: no vertex has more weights."""
    real = layer.mask[:, None].expand(layer.attention.shape)
    return real.sum(-1) - null_dimension(layer.values, key_mask=real, sum_zero=True)


def needed(weights: Tensor, layer: ExplainedLayer) -> float:
    """The share of weights that are needed.

    Args:
        weights: `(t, h, m)`; `TRIED` weights of each text's first head are tried, spread from the heaviest to the lightest.
        layer: The explained layer.
    """
    outcomes: list[bool] = []
    for row, values in zip(weights[:, 0].cpu().numpy(), layer.values[:, 0].cpu().numpy(), strict=True):
        support = np.flatnonzero(np.abs(row) > VISIBLE)
        equations = np.concatenate([values, np.ones((len(values), 1))], 1)[support]  # tokens × (e + 1)
        output = row[support] @ equations
        signs = bool((row < -VISIBLE).any())
        heavy_first = np.argsort(-np.abs(row[support]), kind="stable")
        places = np.unique(np.linspace(0, len(support) - 1, min(TRIED, len(support))).astype(int))
        outcomes += [unreachable(np.delete(equations, heavy_first[place], 0), output, signs) for place in places]
    return float(np.mean(outcomes)) if outcomes else 0.0


def unreachable(equations: NDArray[np.float64], output: NDArray[np.float64], signs: bool) -> bool:
    """Is there no x (x ≥ 0 without `signs`) with x equations = output?"""
    if not len(equations):
        return bool(np.abs(output).max() > MISSED)
    x = np.linalg.lstsq(equations.T, output, rcond=None)[0] if signs else _nonnegative(equations, output)
    return bool(np.abs(x @ equations - output).max() > MISSED * max(1.0, float(np.abs(output).max())))


def _nonnegative(equations: NDArray[np.float64], output: NDArray[np.float64]) -> NDArray[np.float64]:
    x: NDArray[np.float64] = nnls(equations.T, output, maxiter=50 * len(equations))[0]
    return x
