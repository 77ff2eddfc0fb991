"""Where a NaN or an infinity may go: no further than the rows that see it.

A weight of zero times NaN is NaN, so that a product over a block would carry it to rows that do not see it: the past, the next batch row.
Fast forms compute with zeros in such places, and write NaN where the definition has it.
"""

import torch
from torch import Tensor


def finite(x: Tensor) -> tuple[Tensor, Tensor]:
    """x with NaN and infinities set to 0, and where they stood."""
    bad = ~x.isfinite()
    return x.masked_fill(bad, 0), bad


def finite_pair(k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """k (b, h, n, d) and v (b, h, n, e) with zeros there, and what they spoil in a causal form, (b, h, n, e): all from their row on."""
    (k, bad_k), (v, bad_v) = finite(k), finite(v)
    return k, v, (bad_k.any(-1, keepdim=True) | bad_v).cumsum(-2, dtype=torch.int32) > 0


def any_in_window(bad: Tensor, before: int, after: int) -> Tensor:
    """`bad` (…, n, ·), boolean -> for each row i, whether any of the rows i − before … i + after is True, (…, n, ·)."""
    n = bad.shape[-2]
    total = torch.cat((torch.zeros_like(bad[..., :1, :], dtype=torch.int32), bad.cumsum(-2, dtype=torch.int32)), -2)
    place = torch.arange(n, device=bad.device)
    first, last = (place - before).clamp(min=0), (place + after + 1).clamp(max=n)
    return total.index_select(-2, last) > total.index_select(-2, first)


def any_before(bad: Tensor, chunk: int) -> Tensor:
    """`bad` (…, n, ·), boolean -> for each row, whether any row of an earlier chunk of `chunk` rows is True, (…, n, ·)."""
    n = bad.shape[-2]
    total = torch.cat((torch.zeros_like(bad[..., :1, :], dtype=torch.int32), bad.cumsum(-2, dtype=torch.int32)), -2)
    return total.index_select(-2, torch.arange(n, device=bad.device) // chunk * chunk) > 0
