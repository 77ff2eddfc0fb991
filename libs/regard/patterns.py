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


def check_mask(mask: Tensor | None, batch: int, length: int, name: str) -> None:
    """A mask is boolean (b, length), True = keep; anything else is an error with the numbers in it."""
    if mask is None:
        return
    if mask.dtype != torch.bool:
        raise TypeError(f"{name} must be boolean (True = keep), got {mask.dtype}")
    if mask.shape != (batch, length):
        raise ValueError(f"{name} must be (batch, length) = ({batch}, {length}), got {tuple(mask.shape)}")


def zero_masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """x (b, n, ·) or (b, h, n, ·) with masked rows set to 0, whatever they held: a NaN times a weight of zero would still be NaN."""
    if mask is None:
        return x
    return x.masked_fill(~(mask[:, :, None] if x.ndim == 3 else mask[:, None, :, None]), 0)
