"""The place in a model where the mechanism under test goes, and the blocks around it. All blocks are pre-norm with residuals.

Everything that is not under test is softmax attention. `none` leaves the layer out: its residual branch adds nothing, its parameters are gone.
"""

import functools
import inspect
import math
from typing import Any

import torch
from torch import Tensor, nn

from projects.cab.config import NONE, Attention
from regard.common.patterns import Pattern
from regard.loading import find_class
from regard.registry import build


class Nothing(nn.Module):
    """No attention: zeros of the shape of x."""

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        x_mask: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> Tensor:
        return torch.zeros_like(x)


class Slots:
    """Gives the layers of a model: the mechanism where its pattern is under test, softmax attention everywhere else."""

    def __init__(self, attention: Attention, pattern: str, *, width: int, heads: int, length: int) -> None:
        self.attention, self.pattern, self.length = attention, pattern, length
        self.sizes = {"width": width, "heads": heads}
        self.tested: list[nn.Module] = []

    def layer(self, place: Pattern) -> nn.Module:
        """A layer for a place of that pattern."""
        if place != self.pattern:
            return softmax_layer(place, **self.sizes)
        self.tested.append(layer_under_test(self.attention, place, **self.sizes, length=self.length))
        return self.tested[-1]

    def parameters(self) -> int:
        """Parameters of the layers under test."""
        return sum(p.numel() for layer in self.tested for p in layer.parameters())


def layer_under_test(attention: Attention, pattern: Pattern, *, width: int, heads: int, length: int) -> nn.Module:
    """The mechanism's layer; one that is sized for a longest source is given `length`, any other option is its own default."""
    if attention.name == NONE:
        return Nothing()
    cls = class_once(attention.name)
    options: dict[str, Any] = dict(attention.options)
    if "length" in inspect.signature(cls).parameters:
        options.setdefault("length", length)
    layer: nn.Module = cls(width=width, heads=heads, pattern=pattern, **options)
    return layer


class_once = functools.cache(find_class)  # a user's file runs once a process


def softmax_layer(pattern: Pattern, *, width: int, heads: int) -> nn.Module:
    """Softmax attention, for a place that is not under test."""
    layer: nn.Module = build("softmax", width=width, heads=heads, pattern=pattern)
    return layer


def feed_forward(width: int, hidden: int, dropout: float) -> nn.Module:
    """w -> hidden -> w with GELU."""
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width))


class SelfBlock(nn.Module):
    """Self attention and a feed-forward part: an encoder's block, or that of a decoder without a source."""

    def __init__(self, attention: nn.Module, *, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention, self.feed = attention, feed_forward(width, hidden, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.dropout(self.attention(self.norms[0](x), x_mask=mask))
        return x + self.dropout(self.feed(self.norms[1](x)))


class CrossBlock(nn.Module):
    """A decoder's block: self attention, cross attention to the source, feed-forward part."""

    def __init__(self, own: nn.Module, cross: nn.Module, *, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.own, self.cross, self.feed = own, cross, feed_forward(width, hidden, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, context: Tensor, mask: Tensor | None = None, context_mask: Tensor | None = None
    ) -> Tensor:
        x = x + self.dropout(self.own(self.norms[0](x), x_mask=mask))
        x = x + self.dropout(self.cross(self.norms[1](x), context, x_mask=mask, context_mask=context_mask))
        return x + self.dropout(self.feed(self.norms[2](x)))


def positions(length: int, width: int) -> Tensor:
    """Sines and cosines (length, width) of Vaswani et al. 2017: they are there for lengths that training never saw."""
    place = torch.arange(length)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))
    return torch.stack([place.sin(), place.cos()], dim=-1).flatten(1)
