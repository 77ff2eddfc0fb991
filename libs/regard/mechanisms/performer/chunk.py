"""Causal attention with positive random features, span by span.

    φ(x) = exp(W x̂ − ‖x̂‖² / 2)        x̂ = x d^(-1/4)        out_i = Σ_{j ≤ i} (φ(q_i) · φ(k_j)) v_j / Σ_{j ≤ i} φ(q_i) · φ(k_j)

Factors of φ(q_i) cancel, so it is taken relative to its largest feature, and without ‖q̂‖². φ(k_j) is also taken
relative to its largest feature, which then becomes a weight of key j. The denominator is then relative to the largest
feature of all keys so far. Where a query's features are not those of that key, with scores 30 or more apart, it is
close to 0 and needs float64. Time O(n f (d + e)); memory beyond the result: what is carried to the backward pass, else
that of one span.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.common.chunking import iterate_spans
from regard.common.derivatives import can_branch
from regard.common.prefix_sum import PrefixState, extend_prefix_sum
from regard.mechanisms.performer.projection import feature_exponents

LEAST = torch.finfo(torch.float32).tiny ** 0.5


def chunk_performer(q: Tensor, k: Tensor, v: Tensor, *, projection: Tensor, key_mask: Tensor | None) -> Tensor:
    """q, k (b, h, n, d), v (b, h, n, e), `key_mask` (b, n), n ≥ 1 -> (b, h, n, e); summed in float32 at least.

    In float64 if a denominator is not exact in float32, which a compiled graph and `torch.func` cannot check.
    """
    seen = None if key_mask is None else (key_mask.cumsum(1) > 0)[:, None, :, None]  # does the row see any key?
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
        if total.dtype == torch.float32 and can_branch() and not _exact(total, part.poisoned, seen, part.at):
            wide = (x.to(torch.float64) for x in (q, k, v))
            return chunk_performer(*wide, projection=projection, key_mask=key_mask).to(v.dtype)
        out = summed[..., :-1] / total.masked_fill(total == 0, 1)
        rows.append(out.masked_fill(part.poisoned, torch.nan).to(v.dtype))
    return torch.cat(rows, 2)


def _exact(total: Tensor, poisoned: Tensor, seen: Tensor | None, at: slice) -> bool:
    """Are the denominators, in rows that have one, large enough for their reciprocals to appear in gradients?"""
    if total.numel() == 0 or float(total.detach().amin()) >= LEAST:
        return True
    small = ~(total.detach() >= LEAST) & total.isfinite() & ~poisoned.any(-1, keepdim=True)
    return not bool((small if seen is None else small & seen[:, :, at]).any())
