"""Table `identifiability`: how many rows give the same output, and how many of them are distributions? (C7)

1  directions that the values do not see, with and without the sum of the row
2  how far a weight can move inside S(a) = {p ≥ 0, 1ᵀp = 1, pᵀT = aᵀT}: two linear programs per weight
3  can another query make another row with the same output? The rows of softmax(K q) near a move by (diag(a) − a aᵀ) K dq, so they give
   the output of a only there if Tᵀ (diag(a) − a aᵀ) K has the rank of K without its mean: identifiable close to a
"""

from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from projects.explaining.analyses.definitions import now
from projects.explaining.analyses.explained_layer import ExplainedTexts, explained_texts, keeps, mean, percent
from projects.explaining.analyses.replacements import effective
from projects.explaining.config import Config
from projects.explaining.models.classifier import ExplainedLayer
from regard.effective import null_dimension, output_error
from regard.effective.spaces import basis
from regard_lab.experiment.run_result import RunResult

FIXED = 1e-6  # a weight that cannot move further than this
PROGRAMS = 16  # texts of which ranges are computed


def run(config: Config, folder: Path) -> RunResult:
    """The explained rows of texts cut to `analysis.length`; those that are shorter are left out, unless all are."""
    texts = explained_texts(config, Path.cwd())
    with torch.no_grad():
        return measure(texts, config)


def measure(texts: ExplainedTexts, config: Config) -> RunResult:
    """How free the explained rows are."""
    layer = texts.layer
    full = layer.mask.all(-1)
    layer = layer.part(full) if full.any() else layer
    real = layer.mask[:, None].expand(layer.attention.shape)
    times: dict[str, float] = {}
    moved: dict[str, float] = {}
    kept: dict[str, Tensor] = {}
    for definition in ("E3", "E4", "E5"):
        began = now()
        rows = effective(definition, layer)
        times[definition] = 1000 * (now() - began) / rows[..., 0].numel()
        moved[definition] = mean((rows - layer.attention).abs().sum(-1) / 2)
        error = output_error(rows[:, :, None], layer.attention[:, :, None], layer.values)
        kept[definition] = keeps(error, layer.values)
    top, other = ranges(layer, config.analysis.ranges)
    return RunResult(
        metrics={
            "tokens": mean(layer.mask.sum(-1)),
            "null_dimension": mean(null_dimension(layer.values, key_mask=real)),
            "null_dimension_sum_zero": mean(null_dimension(layer.values, key_mask=real, sum_zero=True)),
            "max_weight": mean(layer.attention.amax(-1)),
            "top_range": mean(top),
            "other_range": mean(other),
            "fixed": percent(torch.cat([top, other]) <= FIXED),
            "generable_unique": percent(generable_unique(layer)),
            "distance_e4": moved["E4"],
            "distance_e5": moved["E5"],
            "e3_ms": times["E3"],
            "e4_ms": times["E4"],
            "e5_ms": times["E5"],
            "e5_kept": percent(kept["E5"]),
            "longer": texts.longer(),
            "accuracy": texts.trained.accuracy,
        }
    )


def generable_unique(layer: ExplainedLayer) -> Tensor:
    """Which rows, `(t, h)`, no query close to their own can replace."""
    a, real = layer.attention, layer.mask[:, None, :, None]
    k = layer.keys * real
    centred = (k - k.sum(-2, keepdim=True) / real.sum(-2, keepdim=True)) * real
    moves = a[..., None] * (k - torch.einsum("thm,thmd->thd", a, k)[:, :, None])  # (diag(a) − a aᵀ) K
    unique: Tensor = torch.linalg.matrix_rank((layer.values * real).mT @ moves) == torch.linalg.matrix_rank(centred)
    return unique


def ranges(layer: ExplainedLayer, others: int) -> tuple[Tensor, Tensor]:
    """How far weights of each text's first head can move in S(a).

    Args:
        layer: The explained layer.
        others: How many weights beside the heaviest, spread over the text.

    Returns:
        The ranges of the heaviest weights, and those of the others: flat, in [0, 1].
    """
    top, rest = [], []
    for text in range(min(PROGRAMS, len(layer.mask))):
        real = layer.mask[text]
        a, values = layer.attention[text, 0, real], layer.values[text, 0, real]
        span = basis(torch.cat([values, values.new_ones(len(values), 1)], -1), torch.ones_like(a, dtype=torch.bool))
        span = span[:, (span != 0).any(0)]
        heavy = int(a.argmax())
        places = [place for place in torch.linspace(0, len(a) - 1, others + 1).long().tolist() if place != heavy]
        top.append(width(span, a, heavy))
        rest += [width(span, a, place) for place in places[:others]]
    return torch.tensor(top, dtype=torch.float64), torch.tensor(rest, dtype=torch.float64)


def width(span: Tensor, a: Tensor, place: int) -> float:
    """max p_j − min p_j over S(a), by HiGHS."""
    objective = np.zeros(len(a))
    objective[place] = 1.0
    target, equations = (a @ span).cpu().numpy(), span.cpu().numpy().T
    ends = []
    for sign in (1.0, -1.0):
        solved = linprog(sign * objective, A_eq=equations, b_eq=target, bounds=(0, 1), method="highs")
        # Where S(a) is a single point, rounding can make it empty: then the weight cannot move.
        ends.append(float(a[place]) if solved.fun is None or solved.status != 0 else sign * float(solved.fun))
    return max(0.0, ends[1] - ends[0])
