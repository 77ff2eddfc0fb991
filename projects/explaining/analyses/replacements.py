"""What takes the place of the explained layer's attention: the six definitions, and controls that say how much a change means.

raw           the model's own weights
E1 … E6       `regard.effective`
uniform       the same weight for every real token
permuted      the model's weights, shuffled among the text's tokens ([CLS] and [SEP] keep theirs)
simplex       a random point of the simplex
matrix        random numbers with the model's row norms: a row of attention is a matrix of rank 1, and so are these
null_step     the model's weights and a random step that the values do not see, half as long as the weights
column_step   the model's weights and a random step of the same length inside the values' column space
"""

import torch
from torch import Tensor

from projects.explaining.models.classifier import ExplainedLayer, uniform_weights
from regard.effective import DEFINITIONS, effective_attention
from regard.effective.spaces import basis, on_basis

CONTROLS = ("uniform", "permuted", "simplex", "matrix")
STEPS = ("null_step", "column_step")
NAMES = ("raw", *DEFINITIONS, *CONTROLS, *STEPS)
STEP = 0.5  # of the row's norm


def replaced(name: str, layer: ExplainedLayer, special: Tensor, seed: int) -> Tensor:
    """The weights `(t, h, m)` that take the place of `layer.attention`.

    Args:
        name: One of `NAMES`.
        layer: The explained layer.
        special: `(t, m)`, True for tokens that a permutation leaves alone.
        seed: Of the random controls.
    """
    generator = torch.Generator().manual_seed(seed)
    if name == "raw":
        return layer.attention
    if name in DEFINITIONS:
        return effective(name, layer)
    if name == "uniform":
        return uniform_weights(layer.mask, layer.attention.shape[1])
    if name == "permuted":
        return shuffled(layer.attention, layer.mask & ~special, 1, generator)[0]
    device = layer.attention.device
    drawn = torch.rand(layer.attention.shape, generator=generator, dtype=torch.float64).to(device)
    if name == "simplex":
        weights = -drawn.log() * layer.mask[:, None]  # exponential draws over their sum: uniform on the simplex
        return weights / weights.sum(-1, keepdim=True)
    normal = torch.randn(layer.attention.shape, generator=generator, dtype=torch.float64).to(device)
    step = normal * layer.mask[:, None]
    if name == "matrix":
        return scaled(step, layer.attention.norm(dim=-1, keepdim=True))
    inside = on_basis(step[:, :, None], values_basis(layer))[:, :, 0]
    step = inside if name == "column_step" else step - inside
    return layer.attention + scaled(step, STEP * layer.attention.norm(dim=-1, keepdim=True))


def effective(definition: str, layer: ExplainedLayer) -> Tensor:
    """Effective attention of the explained rows, `(t, h, m)`."""
    rows = layer.attention[:, :, None]
    return effective_attention(rows, layer.values, definition=definition, key_mask=layer.mask)[:, :, 0]


def values_basis(layer: ExplainedLayer) -> Tensor:
    """An orthonormal basis of the values' column space over real tokens, `(t, h, m, r)`."""
    real = layer.mask[:, None].expand(layer.attention.shape)
    return basis(layer.values * real[..., None], real)


def scaled(step: Tensor, length: Tensor) -> Tensor:
    """The step at that length; a step of nothing but rounding becomes 0."""
    size = step.norm(dim=-1, keepdim=True)
    return torch.where(size > 1e-9, step / size.clamp(min=1e-9), 0) * length


def shuffled(weights: Tensor, free: Tensor, times: int, generator: torch.Generator) -> Tensor:
    """The weights of each text's free tokens in random orders, the same for all heads: `(times, t, h, m)`.

    Args:
        weights: `(t, h, m)`.
        free: `(t, m)`, True for tokens that take part; the others keep their weights.
        times: How many orders.
        generator: What they are drawn from.
    """
    t, h, m = weights.shape
    key = torch.rand(times, t, m, generator=generator).to(weights.device)
    place = torch.arange(m, device=weights.device).expand(times, t, m)
    home = torch.where(free, m + key, place.double())  # fixed tokens first, in their order, then the free ones shuffled
    source = home.argsort(-1)
    target = torch.where(free, m + place, place).argsort(-1)
    moved = weights.expand(times, t, h, m).gather(-1, source[:, :, None].expand(-1, -1, h, -1))
    return torch.zeros_like(moved).scatter(-1, target[:, :, None].expand(-1, -1, h, -1), moved)
