"""Non-finite propagation: a NaN or an infinity reaches the rows that see it, and no others.

A weight of zero times NaN is NaN, so a product over a block would carry it to rows that do not see it: the past, or the
next batch row. Fast forms compute with zeros in such places and write NaN where the definition has it. Which rows those
are is recorded in one of two ways:

    as a boolean     `zero_nonfinite`, `zero_nonfinite_causal`, then `masked_fill(poisoned, nan)`
    as a mark        `zero_and_mark_causal`, `row_nan_mark`: a tensor of zeros and NaN that is added to the result, which costs one pass

Neither is needed where everything is finite, which takes one pass over the data to find out: `all_finite`.
"""

import math

import torch
from torch import Tensor

from regard.common.threads import holds_numbers


def all_finite(*tensors: Tensor) -> bool:
    """Is it certain that none of these holds a NaN or an infinity?

    Judged by their sums, which any NaN or infinity would reach: one pass over each, and no memory. Also False where a
    sum overflows, and where the answer is not available (`regard.common.threads.holds_numbers`); the caller must then
    act as if there were some.
    """
    if not holds_numbers(*tensors):
        return False
    wide = (x.detach().sum(dtype=torch.promote_types(x.dtype, torch.float32)) for x in tensors)
    return all(math.isfinite(total.item()) for total in wide)


def zero_nonfinite(x: Tensor) -> tuple[Tensor, Tensor]:
    """x with NaN and infinities set to 0, and where they were, a boolean tensor like x."""
    nonfinite = ~x.isfinite()
    return x.masked_fill(nonfinite, 0), nonfinite


def zero_nonfinite_causal(k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Keys and values of a causal form with NaN and infinities set to 0, and the outputs that these poison.

    Args:
        k: Keys `(b, h, n, d)`.
        v: Values `(b, h, n, e)`.

    Returns:
        The keys, the values, and `poisoned` `(b, h, n, e)`, boolean: True from the first row on that holds such a key
        or value.
    """
    (k, bad_k), (v, bad_v) = zero_nonfinite(k), zero_nonfinite(v)
    return k, v, (bad_k.any(-1, keepdim=True) | bad_v).cumsum(-2, dtype=torch.int32) > 0


def any_in_window(rows: Tensor, before: int, after: int) -> Tensor:
    """For each row i, is any of the rows i − before … i + after True? `rows` and result are boolean `(…, n, ·)`."""
    n = rows.shape[-2]
    total = torch.cat((torch.zeros_like(rows[..., :1, :], dtype=torch.int32), rows.cumsum(-2, dtype=torch.int32)), -2)
    place = torch.arange(n, device=rows.device)
    first, last = (place - before).clamp(min=0), (place + after + 1).clamp(max=n)
    return total.index_select(-2, last) > total.index_select(-2, first)


def any_before(rows: Tensor, chunk: int) -> Tensor:
    """For each row, is any row of an earlier chunk of `chunk` rows True? `rows` and result are boolean `(…, n, ·)`."""
    n = rows.shape[-2]
    total = torch.cat((torch.zeros_like(rows[..., :1, :], dtype=torch.int32), rows.cumsum(-2, dtype=torch.int32)), -2)
    return total.index_select(-2, torch.arange(n, device=rows.device) // chunk * chunk) > 0


def zero_and_mark_causal(x: Tensor) -> tuple[Tensor, Tensor]:
    """x `(…, n, ·)` with NaN and infinities set to 0, and their mark `(…, n, ·)`: NaN from their row on, 0 before it."""
    # Of whole numbers: floats have no deterministic running sum on CUDA.
    seen = (~x.detach().isfinite()).cumsum(-2, dtype=torch.int32) > 0
    return x.nan_to_num(0.0, 0.0, 0.0), torch.zeros_like(x).masked_fill_(seen, torch.nan)


def row_nan_mark(x: Tensor) -> Tensor:
    """x `(…, n, ·)` -> `(…, n, 1)`: NaN for a row that holds a NaN or an infinity, otherwise 0.

    Judged by the row's sum, which costs one pass over x and no memory; it overflows at 1e36 and more, where scores do
    too.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    return (x.detach().sum(-1, keepdim=True, dtype=wide) * 0).to(x.dtype)
