"""Table `identifiability`: how many ways are there to the same output, and what is left of them when weights must be weights? (C7)

1  directions that the values do not see, with and without the sum of the row
2  how far a weight can move inside S(a) = {p ≥ 0, 1ᵀp = 1, pᵀT = aᵀT}: two linear programs a weight
3  can another query make another row with the same output? The rows of softmax(K q) near a move by (diag(a) − a aᵀ) K dq, so they give
   the output of a only there if Tᵀ (diag(a) − a aᵀ) K has the rank of K without its mean: identifiable close to a
"""

import time
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from projects.explaining.config import Config
from projects.explaining.looked import Looked, looked, mean, percent
from projects.explaining.looking import Seen
from projects.explaining.replacements import effective
from regard.effective import null_dimension, output_error
from regard.effective.spaces import basis
from regard_lab.experiment.run_result import RunResult

FIXED = 1e-6  # a weight that cannot move further than this
PROGRAMS = 16  # texts of which ranges are computed
KEEPS = 1e-8


def run(config: Config, folder: Path) -> RunResult:
    """The explained rows of texts cut to `analysis.length`; those that are shorter are left out, unless all are."""
    found = looked(config, Path.cwd())
    with torch.no_grad():
        return measured(found, config)


def measured(found: Looked, config: Config) -> RunResult:
    seen = found.seen
    full = seen.mask.all(-1)
    seen = seen.part(full) if full.any() else seen
    real = seen.mask[:, None].expand(seen.attention.shape)
    times, moved, kept = {}, {}, {}
    for definition in ("E3", "E4", "E5"):
        began = time.process_time()
        rows = effective(definition, seen)
        times[definition] = 1000 * (time.process_time() - began) / rows[..., 0].numel()
        moved[definition] = mean((rows - seen.attention).abs().sum(-1) / 2)
        kept[definition] = output_error(rows[:, :, None], seen.attention[:, :, None], seen.values) <= KEEPS
    top, other = ranges(seen, config.analysis.ranges)
    return RunResult(
        metrics={
            "tokens": mean(seen.mask.sum(-1)),
            "null_dimension": mean(null_dimension(seen.values, key_mask=real)),
            "null_dimension_sum_zero": mean(null_dimension(seen.values, key_mask=real, sum_zero=True)),
            "max_weight": mean(seen.attention.amax(-1)),
            "top_range": mean(top),
            "other_range": mean(other),
            "fixed": percent(torch.cat([top, other]) <= FIXED),
            "generable_unique": percent(generable_unique(seen)),
            "distance_e4": moved["E4"],
            "distance_e5": moved["E5"],
            "e3_ms": times["E3"],
            "e4_ms": times["E4"],
            "e5_ms": times["E5"],
            "e5_kept": percent(kept["E5"]),
            "longer": found.longer(),
            "accuracy": found.subject.accuracy,
        }
    )


def generable_unique(seen: Seen) -> Tensor:
    """Which rows (t, h) no query close to their own can replace."""
    a, real = seen.attention, seen.mask[:, None, :, None]
    k = seen.keys * real
    centred = (k - k.sum(-2, keepdim=True) / real.sum(-2, keepdim=True)) * real
    moves = a[..., None] * (k - torch.einsum("thm,thmd->thd", a, k)[:, :, None])  # (diag(a) − a aᵀ) K
    return torch.linalg.matrix_rank((seen.values * real).mT @ moves) == torch.linalg.matrix_rank(centred)


def ranges(seen: Seen, others: int) -> tuple[Tensor, Tensor]:
    """How far the heaviest weight of each text's first head can move in S(a), and how far others spread over the text can: flat, in [0, 1]."""
    top, rest = [], []
    for text in range(min(PROGRAMS, len(seen.mask))):
        real = seen.mask[text]
        a, values = seen.attention[text, 0, real], seen.values[text, 0, real]
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
    target = (a @ span).numpy()
    ends = []
    for sign in (1.0, -1.0):
        solved = linprog(sign * objective, A_eq=span.numpy().T, b_eq=target, bounds=(0, 1), method="highs")
        # Where S(a) is a single point, rounding can make it empty: then the weight is where it is.
        ends.append(sign * float(solved.fun) if solved.status == 0 else float(a[place]))
    return max(0.0, ends[1] - ends[0])
