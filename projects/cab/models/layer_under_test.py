"""The layers of a model that are under test, and those that are not.

The mechanism goes where its pattern is under test, softmax attention everywhere else. `none` leaves the layer out: its residual branch adds
nothing, its parameters are gone.
"""

import functools
import inspect
from typing import Any

import torch
from torch import Tensor, nn

from projects.cab.config import NONE, Attention
from regard.common.patterns import Pattern
from regard.loading import find_class
from regard.registry import build


class NoAttention(nn.Module):
    """Zeros of the shape of x."""

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        x_mask: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> Tensor:
        return torch.zeros_like(x)


class AttentionLayers:
    """Builds the attention layers of one model, and remembers which of them are under test.

    Args:
        attention: The mechanism under test.
        pattern: The pattern under test.
        width: The model's width.
        heads: Heads of each layer.
        length: The longest source; only a mechanism that is sized for one is given it.
    """

    def __init__(self, attention: Attention, pattern: Pattern, *, width: int, heads: int, length: int) -> None:
        self.attention, self.pattern, self.length = attention, pattern, length
        self.width, self.heads = width, heads
        self.tested: list[nn.Module] = []

    def layer(self, pattern: Pattern) -> nn.Module:
        """A layer of that pattern: the mechanism if it is the pattern under test, else softmax attention."""
        if pattern != self.pattern:
            return softmax_layer(pattern, width=self.width, heads=self.heads)
        tested = layer_under_test(self.attention, pattern, width=self.width, heads=self.heads, length=self.length)
        self.tested.append(tested)
        return tested

    def parameter_count(self) -> int:
        """Parameters of the layers under test."""
        return sum(parameter.numel() for layer in self.tested for parameter in layer.parameters())


def layer_under_test(attention: Attention, pattern: Pattern, *, width: int, heads: int, length: int) -> nn.Module:
    """The mechanism's layer; one that is sized for a longest source is given `length`, any other option is its own default."""
    if attention.name == NONE:
        return NoAttention()
    cls = find_class_once(attention.name)
    options: dict[str, Any] = dict(attention.options)
    if "length" in inspect.signature(cls).parameters:
        options.setdefault("length", length)
    layer: nn.Module = cls(width=width, heads=heads, pattern=pattern, **options)
    return layer


find_class_once = functools.cache(find_class)  # a user's file runs once per process


def softmax_layer(pattern: Pattern, *, width: int, heads: int) -> nn.Module:
    """Softmax attention, for a layer that is not under test."""
    layer: nn.Module = build("softmax", width=width, heads=heads, pattern=pattern)
    return layer
