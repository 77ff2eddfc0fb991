"""Local attention in blocks of queries, by fused attention: in compiled graphs, and on devices other than CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.common.derivatives import fused_attention


def blocks(q: Tensor, k: Tensor, v: Tensor, before: int, after: int, key_mask: Tensor | None, scale: float) -> Tensor:
    """q, k (b, h, n, d), v (b, h, n, e), `key_mask` (b, n), all finite, n ≥ 1 -> (b, h, n, e).

    The batch's rows are laid out one after the other, with gaps between them, and cut into blocks. A block's keys are a
    view of its tokens and their margins.
    """
    b, h, n, d = q.shape
    block = max(32, before)
    row = n + before  # a row and a gap as long as a window reaches
    row += -row % block
    real = torch.ones(1, n, dtype=torch.bool, device=q.device) if key_mask is None else key_mask

    def rows(x: Tensor) -> Tensor:  # b h n · -> (b row) h ·
        return F.pad(x.transpose(1, 2), (0, 0, 0, 0, 0, row - n)).flatten(0, 1)

    def with_margins(x: Tensor) -> Tensor:  # (b row) h · -> blocks h (before + block + after) ·
        margins = F.pad(x, (0, 0) * (x.ndim - 1) + (before, after))
        return margins.unfold(0, before + block + after, block).movedim(-1, -2)

    queries = rows(q).reshape(b * row // block, block, h, d).transpose(1, 2)
    kept = F.pad(real, (0, row - n)).expand(b, row).reshape(-1, 1)
    ahead = torch.arange(-before, block + after, device=q.device) - torch.arange(block, device=q.device)[:, None]
    seen = ((ahead >= -before) & (ahead <= after)) & with_margins(kept).mT  # blocks block keys
    blind = ~seen.any(-1, keepdim=True)  # would be NaN: let it see all, then set it to 0
    out = fused_attention(
        queries, with_margins(rows(k)), with_margins(rows(v)), attn_mask=(seen | blind)[:, None], scale=scale
    )
    out = out.masked_fill(blind[:, None], 0).transpose(1, 2).flatten(0, 1)
    return out.reshape(b, row, h, v.shape[-1])[:, :n].transpose(1, 2)
