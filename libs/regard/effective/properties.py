"""Properties of a candidate for effective attention: does it keep the output, and is each of its rows a distribution?"""

import torch
from torch import Tensor

SUM_WITHIN, LEAST = 1e-8, -1e-10  # rounding of float64 over a few hundred tokens


def output_error(effective: Tensor, attention: Tensor, values: Tensor) -> Tensor:
    """How far the output of effective attention is from attention's.

    Args:
        effective: `(…, n, m)`.
        attention: `(…, n, m)`, what it was made from.
        values: T, `(…, m, e)`.

    Returns:
        The largest |effective T − attention T| of each row, `(…, n)`, in float64.
    """
    difference = effective.to(torch.float64) - attention.to(torch.float64)
    return (difference @ values.to(torch.float64)).abs().amax(-1)


def distributions(rows: Tensor, *, sum_within: float = SUM_WITHIN, least: float = LEAST) -> Tensor:
    """Which rows are distributions?

    Args:
        rows: `(…, n, m)`.
        sum_within: How far from 1 a sum may be. Default: 1e-8.
        least: The lowest entry allowed. Default: -1e-10.

    Returns:
        Boolean `(…, n)`.
    """
    return ((rows.sum(-1) - 1).abs() <= sum_within) & (rows.amin(-1) >= least)
