"""Rows of softmax attention over values, as a head has them."""

import torch


def head(n: int, m: int, e: int, scale: float = 1.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Softmax rows (n, m) over values (m, e) with a bias; `scale` sharpens them."""
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(size, e, generator=generator, dtype=torch.float64) for size in (n, m, m))
    return (scale * q @ k.T / e**0.5).softmax(-1), v + torch.randn(e, generator=generator, dtype=torch.float64)
