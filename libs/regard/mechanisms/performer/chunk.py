"""Causal attention with positive random features, span by span.

    φ(x) = exp(W x̂ − ‖x̂‖² / 2)        x̂ = x d^(-1/4)        out_i = Σ_{j ≤ i} (φ(q_i) · φ(k_j)) v_j / Σ_{j ≤ i} φ(q_i) · φ(k_j)

Factors of φ(q_i) cancel, so that it is taken relative to its largest feature, and without ‖q̂‖². φ(k_j) is taken
relative to its largest too, which is a weight of key j then. Time O(n f (d + e)); memory beyond the result: what is
carried to the backward pass, else that of one span.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.common.chunking import iterate_spans
from regard.common.prefix_sum import PrefixState, extend_prefix_sum
from regard.mechanisms.performer.projection import feature_exponents


def chunk_performer(q: Tensor, k: Tensor, v: Tensor, *, projection: Tensor, key_mask: Tensor | None) -> Tensor:
    """q, k (b, h, n, d), v (b, h, n, e), `key_mask` (b, n), n ≥ 1 -> (b, h, n, e); summed in float32 at least."""
    past: PrefixState | None = None
    rows: list[Tensor] = []
    for part in iterate_spans(q, k, v, key_mask):
        W = projection.to(part.q.dtype)
        (along_q, _), (along_k, half_k) = feature_exponents(part.q, W), feature_exponents(part.k, W)
        if part.mask is not None:
            along_k = along_k.masked_fill(~part.mask[:, None, :, None], -torch.inf)
        log_k = along_k - half_k
        top = log_k.detach().amax(-1)  # of each key alone; `extend_prefix_sum` puts back what this divides out
        phi_q = (along_q - along_q.amax(-1, keepdim=True)).exp()
        phi_k = (log_k - top.clamp(min=torch.finfo(top.dtype).min)[..., None]).exp()
        values = F.pad(part.v, (0, 1), value=1)  # the last column sums to the denominator
        summed, past = extend_prefix_sum(past, phi_q, phi_k, values, log_weight=top)
        total = summed[..., -1:]
        out = summed[..., :-1] / total.masked_fill(total == 0, 1)
        rows.append(out.masked_fill(part.poisoned, torch.nan).to(v.dtype))
    return torch.cat(rows, 2)
