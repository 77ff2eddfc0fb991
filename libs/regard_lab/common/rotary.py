"""Rotary positions (Su et al. 2021): what a query and a key see of each other depends on how far apart they are.

q_t, k_t -> R_t q_t, R_t k_t        R_t rotates the coordinates i and i + d/2 by the angle t / base^(2 i / d)
"""

import torch
from torch import Tensor


def rotated(x: Tensor, start: int, base: float) -> Tensor:
    """Each row rotated by its position.

    Args:
        x: `(b, h, n, d)`, d even.
        start: The position of the first row.
        base: The base of the angles.
    """
    n, half = x.shape[2], x.shape[3] // 2
    exponent = torch.arange(half, dtype=torch.float32, device=x.device) / half
    positions = torch.arange(start, start + n, dtype=torch.float32, device=x.device)
    angle = positions[:, None] * base**-exponent  # n d/2
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)
