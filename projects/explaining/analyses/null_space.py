"""How much of a head's attention its values do not see, and whether what they see is a distribution: all heads of a layer at once.

For a row a of attention over the keys that its query sees, U an orthonormal basis of the column space of their values T:

    null share        1 − ‖aᵀU‖² / ‖a‖²      of the row's squared norm: a and its null part are the legs and E1 the other leg of a right triangle
    E1, E2            a U Uᵀ, with U of T or of [T, 1]: is it a distribution?

Rows that see all keys share one basis per head; those of a causal layer have one each, over the keys so far.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from regard.effective import distributions
from regard.effective.spaces import basis, on_basis


class NullSpace(NamedTuple):
    """Of each head's rows, `(h, r)`.

    Attributes:
        share: Of a row's squared norm, what lies in the null space, 0 … 1.
        dimension: Of the null space.
        e1: Is E1 a distribution?
        e2: Is E2 one?
    """

    share: Tensor
    dimension: Tensor
    e1: Tensor
    e2: Tensor


def null_space(attention: Tensor, values: Tensor, visible: Tensor, rows: Tensor) -> NullSpace:
    """The null space of some rows of every head, in float64.

    Args:
        attention: `(h, n, m)`.
        values: `(h, m, e)`.
        visible: `(n, m)`, True where a query sees a key.
        rows: `(r)`, which queries are looked at.
    """
    a, t, seen = attention[:, rows].double(), values.double(), visible[rows]
    a = a / a.sum(-1, keepdim=True)  # a softmax in float32 sums to 1 within 1e-7 only
    if bool((seen == seen[0]).all()):
        return _of(t[:, seen[0]], a[..., seen[0]], torch.ones_like(seen[0][seen[0]]))
    each = [_of(t[:, keys], a[:, i : i + 1, keys], torch.ones_like(keys[keys])) for i, keys in enumerate(seen)]
    return NullSpace(*(torch.cat(parts, 1) for parts in zip(*each, strict=True)))


def _of(values: Tensor, rows: Tensor, real: Tensor) -> NullSpace:
    real = real.expand(values.shape[:-1])
    seen = basis(values, real)
    with_ones = basis(torch.cat([values, values.new_ones(*values.shape[:-1], 1)], -1), real)
    inside = (rows @ seen).square().sum(-1) / rows.square().sum(-1)
    rank = (seen != 0).any(-2).sum(-1, keepdim=True)
    return NullSpace(
        share=(1 - inside).clamp(min=0),
        dimension=(rows.shape[-1] - rank).expand(rows.shape[:-1]),
        e1=distributions(on_basis(rows, seen)),
        e2=distributions(on_basis(rows, with_ones)),
    )


def spread(n: int, count: int) -> Tensor:
    """At most `count` of n rows, evenly spread, the last one among them."""
    steps = min(n, count)  # no two of them are equal
    return torch.linspace(n - 1, 0, steps).round().long().flip(0)
