"""Random projections that features are made of."""

import functools

import torch
from torch import Tensor


def orthogonal_projection(heads: int, features: int, width: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Draw W (Choromanski et al. 2021, section 2.4).

    It has blocks of `width` orthogonal rows, each as long as a row of a fresh Gaussian matrix.

    Args:
        heads: Number of heads h.
        features: Random features f per head.
        width: Width d of a head.
        generator: Source of the draws. Default: None, torch's.

    Returns:
        `(heads, features, width)`.
    """
    blocks = -(-features // width)
    basis, triangle = torch.linalg.qr(torch.randn(heads, blocks, width, width, generator=generator))
    basis = basis * triangle.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]  # else not uniform over the rotations
    length = torch.linalg.vector_norm(torch.randn(heads, features, width, generator=generator), dim=-1, keepdim=True)
    return torch.mul(basis.flatten(1, 2)[:, :features], length)


@functools.lru_cache(maxsize=512)
def seeded_projection(seed: int, heads: int, features: int, d: int) -> Tensor:
    """W drawn from a seed, `(heads, features, d)`: the same for a seed and these sizes everywhere."""
    with torch.inference_mode(False):
        return orthogonal_projection(heads, features, d, generator=torch.Generator().manual_seed(seed))


def feature_exponents(x: Tensor, projection: Tensor) -> tuple[Tensor, Tensor]:
    """W x̂ (b, h, n, f) and ‖x̂‖² / 2 (b, h, n, 1): x (b, h, n, d), `projection` (f, d) or (h, f, d)."""
    x = x * x.shape[-1] ** -0.25
    return x @ projection.mT, x.square().sum(-1, keepdim=True) / 2
