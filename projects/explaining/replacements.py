"""What stands in for the explained layer's attention: the six definitions, and controls that say how much a change means.

raw           the model's own weights
E1 … E6       `regard.effective`
uniform       the same weight for every real token
permuted      the model's weights, dealt out anew among the text's tokens ([CLS] and [SEP] keep theirs)
simplex       a random point of the simplex
matrix        random numbers with the model's row norms: a row of attention is a matrix of rank 1, and so are these
null_step     the model's weights and a random step that the values do not see, half as long as they are
column_step   the model's weights and a random step of the same length inside the values' column space
"""

import torch
from torch import Tensor

from projects.explaining.looking import Seen, even
from regard.effective import DEFINITIONS, effective_attention
from regard.effective.spaces import basis, on_basis

CONTROLS = ("uniform", "permuted", "simplex", "matrix")
STEPS = ("null_step", "column_step")
NAMES = ("raw", *DEFINITIONS, *CONTROLS, *STEPS)
STEP = 0.5  # of the row's norm


def replaced(name: str, seen: Seen, special: Tensor, seed: int) -> Tensor:
    """The weights (t, h, m) of that name in place of `seen.attention`; `special` (t, m) marks tokens that a permutation leaves alone."""
    generator = torch.Generator().manual_seed(seed)
    if name == "raw":
        return seen.attention
    if name in DEFINITIONS:
        return effective(name, seen)
    if name == "uniform":
        return even(seen.mask, seen.attention.shape[1])
    if name == "permuted":
        return shuffled(seen.attention, seen.mask & ~special, 1, generator)[0]
    drawn = torch.rand(seen.attention.shape, generator=generator, dtype=torch.float64)
    if name == "simplex":
        weights = -drawn.log() * seen.mask[:, None]  # exponential draws over their sum: even on the simplex
        return weights / weights.sum(-1, keepdim=True)
    step = torch.randn(seen.attention.shape, generator=generator, dtype=torch.float64) * seen.mask[:, None]
    if name == "matrix":
        return scaled(step, seen.attention.norm(dim=-1, keepdim=True))
    inside = on_basis(step[:, :, None], values_basis(seen))[:, :, 0]
    step = inside if name == "column_step" else step - inside
    return seen.attention + scaled(step, STEP * seen.attention.norm(dim=-1, keepdim=True))


def effective(definition: str, seen: Seen) -> Tensor:
    """Effective attention of the explained rows, (t, h, m)."""
    rows = seen.attention[:, :, None]
    return effective_attention(rows, seen.values, definition=definition, key_mask=seen.mask)[:, :, 0]


def values_basis(seen: Seen) -> Tensor:
    """An orthonormal basis of the values' column space over real tokens, (t, h, m, r)."""
    real = seen.mask[:, None].expand(seen.attention.shape)
    return basis(seen.values * real[..., None], real)


def scaled(step: Tensor, length: Tensor) -> Tensor:
    """The step at that length; one that is nothing but rounding stays nothing."""
    size = step.norm(dim=-1, keepdim=True)
    return torch.where(size > 1e-9, step / size.clamp(min=1e-9), 0) * length


def shuffled(weights: Tensor, free: Tensor, times: int, generator: torch.Generator) -> Tensor:
    """The weights (t, h, m) of each text's `free` tokens (t, m) in `times` random orders, the same for all heads: (times, t, h, m)."""
    t, h, m = weights.shape
    key = torch.rand(times, t, m, generator=generator)
    place = torch.arange(m).expand(times, t, m)
    home = torch.where(free, m + key, place.double())  # fixed tokens first, in their order, then the free ones shuffled
    source = home.argsort(-1)
    target = torch.where(free, m + place, place).argsort(-1)
    moved = weights.expand(times, t, h, m).gather(-1, source[:, :, None].expand(-1, -1, h, -1))
    return torch.zeros_like(moved).scatter(-1, target[:, :, None].expand(-1, -1, h, -1), moved)
