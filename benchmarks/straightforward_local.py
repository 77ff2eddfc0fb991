"""Local attention the straightforward way, to measure the library's against: the keys and the values of every query's window are gathered.

The windows are stored once for the keys and once for the values, n · (2 window + 1) rows each, and so are their scores.
Written from the formula (`regard.mechanisms.local`).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def straightforward_local(q: Tensor, k: Tensor, v: Tensor, *, window: int, causal: bool = False) -> Tensor:
    """q, k (b, h, n, d), v (b, h, n, e) -> (b, h, n, e), as `regard.functional.local`. No masks."""
    n, d = q.shape[2:]
    before, after = (window - 1, 0) if causal else (window, window)

    def windows(x: Tensor) -> Tensor:  # b h n · -> b h n keys ·
        return F.pad(x, (0, 0, before, after)).unfold(2, before + 1 + after, 1).movedim(-1, -2).contiguous()

    scores = (windows(k) @ q[..., None])[..., 0] * d**-0.5  # b h n keys
    place = torch.arange(n)[:, None] + torch.arange(-before, after + 1)
    weights = scores.masked_fill((place < 0) | (place >= n), -torch.inf).softmax(-1)
    return (weights[..., None, :] @ windows(v))[..., 0, :]
