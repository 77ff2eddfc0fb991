"""The four attention patterns, and how masked tokens are treated.

Self attention draws queries, keys and values from one sequence; cross attention draws queries from a target, keys and
values from a source. Causal: the output at target position t may not depend on target positions after t. In causal
cross attention the *source* is seen whole; what is hidden is the target's future, so a mechanism that pools over
queries cannot have this pattern (CAB, figure 1).
"""

from typing import Literal, get_args

from torch import Tensor

Pattern = Literal["noncausal_self", "causal_self", "noncausal_cross", "causal_cross"]
ALL_PATTERNS: tuple[Pattern, ...] = get_args(Pattern)

MASKED_LOGIT = -1e30  # the logit of a masked key: finite, so that rows that see no key have no NaN in their gradients


def is_causal(pattern: Pattern) -> bool:
    """Must no output depend on later target positions?"""
    return pattern.startswith("causal")


def is_cross(pattern: Pattern) -> bool:
    """Do keys and values come from a different sequence than the queries?"""
    return pattern.endswith("cross")


def zero_masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """Set masked rows to 0, whatever they held: a NaN times a weight of zero would still be NaN.

    Args:
        x: `(b, n, ·)` or `(b, h, n, ·)`.
        mask: `(b, n)`, boolean, True = keep; `None` keeps every row.

    Returns:
        A tensor like `x`, or `x` itself without a mask.
    """
    if mask is None:
        return x
    return x.masked_fill(~(mask[:, :, None] if x.ndim == 3 else mask[:, None, :, None]), 0)
