"""Performer the straightforward way, to measure the library's against: causal, every prefix sum Σ_{j ≤ i} φ(k_j) v_jᵀ is stored, n · f · e numbers.

Written from the formulas (`regard.mechanisms.performer`). The causal form has no epsilon; its stabilising maxima cancel.
"""

from torch import Tensor

EPSILON = 1e-4


def straightforward_performer(q: Tensor, k: Tensor, v: Tensor, *, projection: Tensor, causal: bool = False) -> Tensor:
    """q, k (b, h, n, d), v (b, h, n, e), `projection` (f, d) or (h, f, d) -> (b, h, n, e), as `regard.functional.performer`. No masks."""
    q, k = q * q.shape[-1] ** -0.25, k * k.shape[-1] ** -0.25
    along_q, along_k = q @ projection.mT, k @ projection.mT
    half_q, half_k = (x.square().sum(-1, keepdim=True) / 2 for x in (q, k))
    if causal:
        log_k = along_k - half_k
        phi_q = (along_q - half_q - (along_q - half_q).amax(-1, keepdim=True)).exp()
        phi_k = (log_k - log_k.amax((-2, -1), keepdim=True)).exp()
        sums = (phi_k[..., :, None] * v[..., None, :]).cumsum(2)  # b h n f e
        total = (phi_q * phi_k.cumsum(2)).sum(-1, keepdim=True)
        return (phi_q[..., None, :] @ sums)[..., 0, :] / total
    phi_q = (along_q - half_q - along_q.amax(-1, keepdim=True)).exp() + EPSILON
    phi_k = (along_k - half_k - along_k.amax((-2, -1), keepdim=True)).exp() + EPSILON
    return phi_q @ (phi_k.mT @ v) / (phi_q @ phi_k.sum(2)[..., None])
