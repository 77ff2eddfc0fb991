"""Local attention, the definition: its n × n matrix in full."""

import torch
from torch import Tensor

from regard.common.patterns import zero_masked


def naive_local(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    window: int,
    causal: bool = False,
    key_mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """The definition, with its n × n matrix in full. Arguments as `local`."""
    place = torch.arange(q.shape[2], device=q.device)
    ahead = place - place[:, None]  # j − i
    seen = ((ahead > -window) & (ahead <= 0) if causal else ahead.abs() <= window)[None, None]
    if key_mask is not None:
        seen = seen & key_mask[:, None, None, :]
    k, v = zero_masked(k, key_mask), zero_masked(v, key_mask)
    scores = (q.shape[-1] ** -0.5 if scale is None else scale) * (q @ k.mT)
    return scores.masked_fill(~seen, torch.finfo(scores.dtype).min).softmax(-1).masked_fill(~seen, 0) @ v
