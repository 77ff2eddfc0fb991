"""The column space of the values: what attention can express through them, and how much of it has no effect."""

import torch
from torch import Tensor


def basis(matrix: Tensor, real: Tensor, tolerance: float | None = None) -> Tensor:
    """Orthonormal columns `(…, m, r)` of the column space of `matrix` `(…, m, c)`: its left singular vectors.

    r = min(m, c).

    Those whose singular value counts as zero are columns of zeros, so that heads of different rank stay in one batch.
    Rows of tokens that are not `real` (…, m) must be zero in `matrix`, and are zero in the basis.
    """
    left, sizes, _ = torch.linalg.svd(matrix, full_matrices=False)
    counts: Tensor = sizes > threshold(sizes, matrix, real, tolerance)
    columns: Tensor = left * counts[..., None, :]
    return columns


def threshold(sizes: Tensor, matrix: Tensor, real: Tensor, tolerance: float | None) -> Tensor:
    """The threshold above which singular values count: relative to the largest of each head, never of a batch."""
    if tolerance is None:
        longest = real.sum(-1, keepdim=True).clamp(min=matrix.shape[-1])
        return longest * torch.finfo(matrix.dtype).eps * sizes[..., :1]
    return tolerance * sizes[..., :1]


def on_basis(rows: Tensor, span: Tensor) -> Tensor:
    """Rows (…, n, m) projected on the space of the basis (…, m, r): rows U Uᵀ, without the m × m matrix."""
    return (rows @ span) @ span.mT


def null_dimension(
    values: Tensor, *, key_mask: Tensor | None = None, sum_zero: bool = False, tolerance: float | None = None
) -> Tensor:
    """How many directions of an attention row leave the output alone: dim {x : xᵀT = 0} over real tokens.

    Args:
        values: T, `(…, m, e)`.
        key_mask: `(…, m)` with the values' leading sizes, boolean, True = a real token. Default: None, all tokens.
        sum_zero: Count only those that leave the row's sum unchanged, {x : xᵀT = 0, xᵀ1 = 0}? Default: False.
        tolerance: As in `effective_attention`. Default: None.

    Returns:
        Integers `(…)`.
    """
    real = torch.ones(values.shape[:-1], dtype=torch.bool, device=values.device) if key_mask is None else key_mask
    matrix = values.to(torch.float64).masked_fill(~real[..., None], 0)
    if sum_zero:
        matrix = torch.cat([matrix, real[..., None].to(matrix)], -1)
    sizes = torch.linalg.svdvals(matrix)
    rank: Tensor = (sizes > threshold(sizes, matrix, real, tolerance)).sum(-1)
    return real.sum(-1) - rank
