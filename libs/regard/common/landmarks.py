"""Segment means: a sequence cut into `c` contiguous segments, each replaced by its mean.

Nyströmformer and LARA take their landmarks from them.

Of L real tokens, with s = ⌊L / c⌋, the first (s + 1) c − L segments have s tokens and the others s + 1 (CAB's library;
Nyströmformer, section 4.2). Segments are cut over each row's own real tokens, so that a row of a padded batch has the
landmarks of its unpadded run. When L < c that rule gives c − L empty segments, which are absent, and L segments of one
token each: the tokens themselves.
"""

import torch
from torch import Tensor

from regard.common.checks import check_mask


def segment_members(mask: Tensor, segments: int) -> tuple[Tensor, Tensor]:
    """Which tokens lie in which segment.

    `mask` `(b, n)`, True = real -> members `(b, c, n)`, boolean, and how many those are `(b, c)`.

    Raises ValueError for fewer than one segment.
    """
    if segments < 1:
        raise ValueError(f"landmarks must be at least 1, got {segments}")
    real = mask.sum(1, keepdim=True)  # b 1
    short = real // segments  # tokens in a short segment; the long ones have one more
    border = (short + 1) * segments - real  # how many segments are short
    rank = mask.cumsum(1) - 1  # b n, the place of each token among the real ones
    in_long = border + torch.div(rank - border * short, short + 1, rounding_mode="floor")
    segment = torch.where(rank < border * short, rank // short.clamp(min=1), in_long)
    places = torch.arange(segments, device=mask.device)
    member = (segment[:, None, :] == places[:, None]) & mask[:, None, :]
    return member, torch.where(places < border, short, short + 1)


def segment_means(x: Tensor, segments: int, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The mean of each segment.

    x `(b, h, n, d)`, `mask` `(b, n)`, True = real -> means `(b, h, c, d)`, 0 for absent segments, and present `(b, c)`
    or `(1, c)`, False for those.

    Masked tokens may hold anything. Time O(n c d) per head with a mask, O(n d) without. Raises ValueError or TypeError
    for fewer than one segment or a mask that does not fit.
    """
    check_mask(mask, x.shape[0], x.shape[2], "key_mask")
    if mask is None and 1 <= segments <= x.shape[2]:
        return _even_means(x, segments)
    if mask is None:
        mask = torch.ones(1, x.shape[2], dtype=torch.bool, device=x.device)
    else:
        x = x.masked_fill(~mask[:, None, :, None], 0)
    member, size = segment_members(mask, segments)
    sums = member.to(x.dtype)[:, None] @ x
    return sums / size.clamp(min=1)[:, None, :, None], size > 0


def _even_means(x: Tensor, segments: int) -> tuple[Tensor, Tensor]:
    """For n ≥ c real tokens: the short segments are a view of the first tokens, the long ones a view of the others."""
    n = x.shape[2]
    short = n // segments
    border = (short + 1) * segments - n
    ends = ((slice(border * short), short), (slice(border * short, n), short + 1))
    means = [x[:, :, part].unflatten(2, (-1, size)).mean(3) for part, size in ends if part.start != n]  # type: ignore[no-untyped-call]
    return torch.cat(means, 2) if len(means) > 1 else means[0], torch.ones(
        1, segments, dtype=torch.bool, device=x.device
    )
