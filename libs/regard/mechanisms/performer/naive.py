"""Performer, the definition: its n × m matrix in full."""

import torch
from torch import Tensor

from regard.common.patterns import zero_masked
from regard.mechanisms.performer.projection import feature_exponents


def naive_performer(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    projection: Tensor,
    causal: bool = False,
    key_mask: Tensor | None = None,
    epsilon: float | None = None,
) -> Tensor:
    """The definition, with its n × m matrix in full. Arguments as `performer`."""
    epsilon = (0.0 if causal else 1e-4) if epsilon is None else epsilon
    k, v = zero_masked(k, key_mask), zero_masked(v, key_mask)
    (along_q, half_q), (along_k, half_k) = feature_exponents(q, projection), feature_exponents(k, projection)
    if key_mask is not None:
        along_k = along_k.masked_fill(~key_mask[:, None, :, None], torch.finfo(along_k.dtype).min)
    phi_q = (along_q - half_q - along_q.amax(-1, keepdim=True)).exp() + epsilon
    phi_k = (along_k - half_k - along_k.amax((-2, -1), keepdim=True)).exp() + epsilon
    weights = phi_q @ phi_k.mT / projection.shape[-2]
    if key_mask is not None:
        weights = weights.masked_fill(~key_mask[:, None, None, :], 0)
    if causal:
        weights = weights.tril()
    total = weights.sum(-1, keepdim=True)
    return weights @ v / total.masked_fill(total == 0, 1)
