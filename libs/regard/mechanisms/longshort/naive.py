"""Long-short attention, the definition: one row and one query at a time."""

import torch
from einops import rearrange
from torch import Tensor

from regard.mechanisms.longshort.blocks import norm_over_heads, reach, sinusoids


def naive_longshort(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    x: Tensor,
    window: int,
    causal: bool = False,
    chunk: int = 32,
    key_mask: Tensor | None = None,
    scale: float | None = None,
    **arrays: Tensor,
) -> Tensor:
    """The definition, one row and one query at a time. Arguments as `longshort`."""
    (b, h, n, d), rows = q.shape, []
    control, full, short = ("dconv", "win", "dproj") if causal else ("p", "long", "short")

    def norm(y: Tensor, name: str) -> Tensor:
        return norm_over_heads(y[None], arrays[f"ln_{name}_w"], arrays[f"ln_{name}_b"])[0]

    def term(distances: list[int], matrix: str) -> Tensor:  # h (distances) d
        places = sinusoids(torch.tensor(distances, device=q.device), h * d, q.dtype)
        return rearrange(places @ arrays[matrix].mT, "t (h d) -> h t d", h=h)

    for row in range(b):
        kept = [j for j in range(n) if key_mask is None or key_mask[row, j]]
        out = dict.fromkeys(range(n), q.new_zeros(h, d))
        keys, values = (y[row][:, kept] for y in (k, v))
        logits = rearrange(x[row, kept] @ arrays[f"W_{control}"].mT + arrays[f"b_{control}"], "j (h c) -> h j c", h=h)
        near_keys, near_values = norm(keys, full), norm(values, full)
        sources = (keys, values) if causal else (near_keys, near_values)
        starts = range(0, n - chunk, chunk) if causal else [0]
        pieces = [[t for t, j in enumerate(kept) if not causal or s <= j < s + chunk] for s in starts]
        far = [[norm(logits[:, i].softmax(1).mT @ y[:, i], short) for i in pieces] for y in sources]
        for i in kept:
            behind, c, block = i // chunk, logits.shape[2], i // window * window
            seen = [s for s, piece in enumerate(pieces) if piece and (s < behind or not causal)]
            first, last = (i - window + 1, i) if causal else (block - reach(window), block + window + reach(window) - 1)
            near = [u for u, j in enumerate(kept) if first <= j <= last]
            query = q[row, :, i, None] * (d**-0.5 if scale is None else scale)  # h 1 d
            far_keys, far_values = (torch.cat([near_keys[:, :0], *(y[s] for s in seen)], 1) for y in far)
            to_far, to_near = query @ far_keys.mT, query @ near_keys[:, near].mT
            if "W_r" in arrays:
                between = [behind * c - 1 - (s * c + vector) for s in seen for vector in range(c)]
                bias = rearrange(arrays["b_rc"], "(h d) -> h 1 d", h=h)
                to_far = query @ (far_keys + term(between, "W_rc") + bias).mT
                to_near = to_near + arrays["r_w_bias"][:, None] @ near_keys[:, near].mT
                to_near = to_near + (query + arrays["r_r_bias"][:, None]) @ term([i - kept[u] for u in near], "W_r").mT
            weights = torch.cat((to_far, to_near), 2).softmax(2)
            out[i] = (weights @ torch.cat((far_values, near_values[:, near]), 1))[:, 0]
        rows.append(torch.stack(list(out.values()), 1))
    return torch.stack(rows) if rows else q
