"""What split heads must look like, checked once before any work, with the numbers in the message."""

import torch
from torch import Tensor

from regard.patterns import check_mask


def check_heads(
    q: Tensor, k: Tensor, v: Tensor, *, key_mask: Tensor | None = None, self_attention: bool = False
) -> None:
    """q (b, h, n, d), k (b, h, m, d), v (b, h, m, e), floating point and of one type; `self_attention` asks for n = m besides.

    Raises ValueError for shapes and TypeError for types.
    """
    shapes = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
    if not q.ndim == k.ndim == v.ndim == 4:
        raise ValueError(f"q, k and v must be (batch, heads, length, head width), got {shapes}")
    if not torch.is_floating_point(q) or not q.dtype == k.dtype == v.dtype:
        raise TypeError(f"q, k and v must be floating point and of one type, got {q.dtype}, {k.dtype} and {v.dtype}")
    if not q.shape[:2] == k.shape[:2] == v.shape[:2]:
        raise ValueError(f"q, k and v must have one batch size and one number of heads, got {shapes}")
    if q.shape[3] != k.shape[3]:
        raise ValueError(f"q and k must have one head width, got {q.shape[3]} and {k.shape[3]} ({shapes})")
    if k.shape[2] != v.shape[2]:
        raise ValueError(f"k and v must have one length, got {k.shape[2]} and {v.shape[2]} ({shapes})")
    if self_attention and q.shape[2] != k.shape[2]:
        raise ValueError(
            f"self attention needs as many queries as keys, got n = {q.shape[2]} and m = {k.shape[2]} ({shapes})"
        )
    check_mask(key_mask, k.shape[0], k.shape[2], "key_mask")


def check_choice(value: str, choices: tuple[str, ...], name: str) -> None:
    """Raises ValueError when `value` is none of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def check_count(value: int, least: int, name: str) -> None:
    """`value` must be an integer of at least `least`: raises TypeError or ValueError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
