"""Could a weight be missed? (C6)

A weight j of a row x is *needed* when no other weights on the rest of x's support, negative ones only if x has any, give the same output xᵀT and
the same sum. For a vertex of S(a) all are; for a row that lies inside, none is.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor

from projects.explaining.looking import Seen
from regard.effective import null_dimension

VISIBLE = 1e-9  # a weight below is rounding
MISSED = 1e-7  # of the output: what least squares cannot reach
TRIED = 6  # weights of a row


def rank_with_ones(seen: Seen) -> Tensor:
    """rank([T, 1]) of each head (t, h): no vertex has more weights."""
    real = seen.mask[:, None].expand(seen.attention.shape)
    return real.sum(-1) - null_dimension(seen.values, key_mask=real, sum_zero=True)


def needed(weights: Tensor, seen: Seen) -> float:
    """The share of weights (t, h, m) that are needed, over `TRIED` of each text's first head, spread from the heaviest to the lightest."""
    found: list[bool] = []
    for row, values in zip(weights[:, 0].numpy(), seen.values[:, 0].numpy(), strict=True):
        support = np.flatnonzero(np.abs(row) > VISIBLE)
        equations = np.concatenate([values, np.ones((len(values), 1))], 1)[support]  # tokens × (e + 1)
        output = row[support] @ equations
        signs = bool((row < -VISIBLE).any())
        heavy_first = np.argsort(-np.abs(row[support]), kind="stable")
        places = np.unique(np.linspace(0, len(support) - 1, min(TRIED, len(support))).astype(int))
        found += [missing(np.delete(equations, heavy_first[place], 0), output, signs) for place in places]
    return float(np.mean(found)) if found else 0.0


def missing(equations: NDArray[np.float64], output: NDArray[np.float64], signs: bool) -> bool:
    """Is there no x (x ≥ 0 without `signs`) with x equations = output?"""
    if not len(equations):
        return bool(np.abs(output).max() > MISSED)
    x = np.linalg.lstsq(equations.T, output, rcond=None)[0] if signs else _nonnegative(equations, output)
    return bool(np.abs(x @ equations - output).max() > MISSED * max(1.0, float(np.abs(output).max())))


def _nonnegative(equations: NDArray[np.float64], output: NDArray[np.float64]) -> NDArray[np.float64]:
    x: NDArray[np.float64] = nnls(equations.T, output, maxiter=50 * len(equations))[0]
    return x
