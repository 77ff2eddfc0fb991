"""The four attention patterns, and the masks that go with them.

Self attention draws queries, keys and values from one sequence; cross attention draws queries from a target, keys and values from a source.
Causal: the output at target position t may not depend on target positions after t. In causal cross attention the *source* is seen whole;
what is hidden is the target's future, so a mechanism that pools over queries cannot have this pattern (CAB, figure 1).
"""

from typing import Literal, get_args

import torch
from torch import Tensor

Pattern = Literal["noncausal_self", "causal_self", "noncausal_cross", "causal_cross"]
ALL_PATTERNS: tuple[Pattern, ...] = get_args(Pattern)


def is_causal(pattern: Pattern) -> bool:
    """May no output depend on later target positions?"""
    return pattern.startswith("causal")


def is_cross(pattern: Pattern) -> bool:
    """Do keys and values come from another sequence than the queries?"""
    return pattern.endswith("cross")


def check_mask(mask: Tensor | None, batch: int, length: int, name: str, device: torch.device | None = None) -> None:
    """A mask is a boolean tensor (b, length), True = keep, on `device` if one is given; anything else is an error with the numbers in it."""
    if mask is None:
        return
    if not isinstance(mask, Tensor):
        raise TypeError(f"{name} must be a boolean tensor (True = keep) or None, got a {type(mask).__name__}")
    if mask.dtype != torch.bool:
        raise TypeError(f"{name} must be boolean (True = keep), got {mask.dtype}")
    if mask.shape != (batch, length):
        raise ValueError(f"{name} must be (batch, length) = ({batch}, {length}), got {tuple(mask.shape)}")
    if device is not None and mask.device != device:
        raise ValueError(f"{name} must be on the device of what it masks, {device}, got {mask.device}")


def zero_masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """x (b, n, ·) or (b, h, n, ·) with masked rows set to 0, whatever they held: a NaN times a weight of zero would still be NaN."""
    if mask is None:
        return x
    return x.masked_fill(~(mask[:, :, None] if x.ndim == 3 else mask[:, None, :, None]), 0)


def contained(x: Tensor) -> tuple[Tensor, Tensor]:
    """x (…, n, ·) with NaN and infinities set to 0, and the mark that they leave (…, n, ·): NaN from their row on, 0 before it.

    Causal forms add the mark to their result: a future key has a weight of zero, but zero times NaN would be NaN in the past.
    """
    return x.nan_to_num(0.0, 0.0, 0.0), (x.detach() * 0).cumsum(-2)


def spoils(x: Tensor) -> Tensor:
    """x (…, n, ·) -> (…, n, 1): NaN for a row that holds a NaN or an infinity, otherwise 0; to be added to what that row spoils.

    By the row's sum, which costs one reading of x and no memory; it overflows at 1e36 and more, where scores do too.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    return (x.detach().sum(-1, keepdim=True, dtype=wide) * 0).to(x.dtype)
