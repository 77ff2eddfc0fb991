"""The layers of a model that are under test, and those that are not.

The mechanism goes where its pattern is under test, softmax attention everywhere else. `none` leaves the layer out: its
residual branch adds nothing, its parameters are gone. Positions are the model's: either sines at its input, or queries
and keys turned by their places, for every mechanism that has queries; one with relative positions of its own has those
instead, and none of them where sines are under comparison.
"""

import functools
import inspect
from typing import Any

import torch
from torch import Tensor, nn

from projects.cab.config import NONE, Attention, Options, options_of
from regard.attention import Attention as Layer
from regard.common.patterns import Pattern
from regard.loading import find_class
from regard.registry import build
from regard_lab.common.rotary import rotated

ROTARY_BASE = 10_000.0  # Su et al. 2021
OWN_POSITIONS = "positions"  # the option of a mechanism with relative positions of its own


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


class Rotary(Layer):
    """A mixin before a mechanism's class: self attention whose queries and keys are turned by their places, and never its values."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, **also: Tensor) -> Tensor:
        return super().mix(rotated(q, 0, ROTARY_BASE), rotated(k, 0, ROTARY_BASE), v, key_mask, **also)


class AttentionLayers:
    """Builds the attention layers of one model, and remembers which of them are under test.

    Args:
        attention: The mechanism under test.
        pattern: The pattern under test.
        width: The model's width.
        heads: Heads of each layer.
        length: The longest source; only a mechanism that is sized for one is given it.
        options: Options that named mechanisms have in this task; those of `attention` come first. Default: none.
        relative: Are the positions of the layers under test relative? Default: None, each mechanism is built as it is.
    """

    def __init__(
        self,
        attention: Attention,
        pattern: Pattern,
        *,
        width: int,
        heads: int,
        length: int,
        options: Options | None = None,
        relative: bool | None = None,
    ) -> None:
        self.attention, self.pattern, self.length = attention, pattern, length
        self.width, self.heads, self.relative = width, heads, relative
        self.options = options_of(attention, options)
        self.tested: list[nn.Module] = []

    def layer(self, pattern: Pattern, *, width: int | None = None, length: int | None = None) -> nn.Module:
        """A layer of that pattern: the mechanism if it is the pattern under test, else softmax attention.

        Args:
            pattern: Of the layer.
            width: Of the layer, where a model has several. Default: None, the model's.
            length: Its longest source, where layers differ. Default: None, the model's.
        """
        sizes = {"width": width or self.width, "heads": self.heads}
        if pattern != self.pattern:
            return softmax_layer(pattern, **sizes)
        attention = Attention(self.attention.name, self.attention.sha256, self.options)
        tested = layer_under_test(attention, pattern, **sizes, length=length or self.length, relative=self.relative)
        self.tested.append(tested)
        return tested

    def parameter_count(self) -> int:
        """Parameters of the layers under test."""
        return sum(parameter.numel() for layer in self.tested for parameter in layer.parameters())


def layer_under_test(
    attention: Attention, pattern: Pattern, *, width: int, heads: int, length: int, relative: bool | None = None
) -> nn.Module:
    """The mechanism's layer; one that is sized for a longest source is given `length`, any other option is its own default.

    Args:
        attention: The mechanism with its options.
        pattern: Of the layer.
        width: Of the layer.
        heads: Of the layer.
        length: The longest source.
        relative: Relative positions or none, see the module's head. Default: None, the mechanism as it is.
    """
    if attention.name == NONE:
        return NoAttention()
    cls = find_class_once(attention.name)
    options: dict[str, Any] = dict(attention.options)
    known = inspect.signature(cls).parameters
    if "length" in known:
        options.setdefault("length", length)
    if relative is not None and OWN_POSITIONS in known:
        options.setdefault(OWN_POSITIONS, relative)
    elif relative and "query" in getattr(cls, "maps", ()):
        cls = rotary(cls)
    layer: nn.Module = cls(width=width, heads=heads, pattern=pattern, **options)
    return layer


find_class_once = functools.cache(find_class)  # a user's file runs once per process


@functools.cache
def rotary(cls: type) -> Any:
    """The class with rotary positions."""
    return type(f"Rotary{cls.__name__}", (Rotary, cls), {})


def softmax_layer(pattern: Pattern, *, width: int, heads: int) -> nn.Module:
    """Softmax attention, for a layer that is not under test."""
    layer: nn.Module = build("softmax", width=width, heads=heads, pattern=pattern)
    return layer
