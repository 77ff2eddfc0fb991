"""What a candidate for effective attention is asked: does it keep the output, and is each of its rows a distribution?"""

import torch
from torch import Tensor

SUM_WITHIN, LEAST = 1e-8, -1e-10  # rounding of float64 over a few hundred tokens


def output_error(effective: Tensor, attention: Tensor, values: Tensor) -> Tensor:
    """The largest |effective T − attention T| of each row: (…, n, m) twice and (…, m, e) -> (…, n), in float64."""
    difference = effective.to(torch.float64) - attention.to(torch.float64)
    return (difference @ values.to(torch.float64)).abs().amax(-1)


def distributions(rows: Tensor, *, sum_within: float = SUM_WITHIN, least: float = LEAST) -> Tensor:
    """Which rows (…, n, m) are distributions: sums within `sum_within` of 1 and no entry below `least` -> boolean (…,
    n).
    """
    return ((rows.sum(-1) - 1).abs() <= sum_within) & (rows.amin(-1) >= least)
