"""Random projections from which the features are made."""

from typing import Any

import torch
from torch import Tensor

from regard.common.drawing import seeded


def orthogonal_projection(
    heads: int,
    features: int,
    width: int,
    *,
    generator: torch.Generator | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Draw W (Choromanski et al. 2021, section 2.4).

    It has blocks of `width` orthogonal rows, each as long as a row of a fresh Gaussian matrix.

    Args:
        heads: Number of heads h.
        features: Random features f per head.
        width: Width d of a head.
        generator: Source of the draws. Default: None, torch's.
        device: Where they are drawn. Default: None, torch's default device.
        dtype: Their type. Default: None, torch's default type; half precision is drawn in float32 and rounded.

    Returns:
        `(heads, features, width)`.
    """
    blocks = -(-features // width)
    kept = torch.get_default_dtype() if dtype is None else dtype
    given: dict[str, Any] = {
        "generator": generator,
        "device": device,
        "dtype": torch.promote_types(kept, torch.float32),
    }
    basis, triangle = torch.linalg.qr(torch.randn(heads, blocks, width, width, **given))
    basis = basis * triangle.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]  # else not uniform over the rotations
    length = torch.linalg.vector_norm(torch.randn(heads, features, width, **given), dim=-1, keepdim=True)
    return torch.mul(basis.flatten(1, 2)[:, :features], length).to(kept)


@seeded
def seeded_projection(seed: int, heads: int, features: int, d: int) -> Tensor:
    """W drawn from a seed, `(heads, features, d)`: the same for a seed and these sizes everywhere."""
    generator = torch.Generator().manual_seed(seed)
    given: dict[str, Any] = {"generator": generator, "device": torch.device("cpu"), "dtype": torch.float32}
    return orthogonal_projection(heads, features, d, **given)


def feature_exponents(x: Tensor, projection: Tensor) -> tuple[Tensor, Tensor]:
    """W x̂ (b, h, n, f) and ‖x̂‖² / 2 (b, h, n, 1): x (b, h, n, d), `projection` (f, d) or (h, f, d)."""
    x = x * x.shape[-1] ** -0.25
    return x @ projection.mT, x.square().sum(-1, keepdim=True) / 2
