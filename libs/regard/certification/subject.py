"""The mechanism under certification: its layers, its inputs, and the comparison of two outputs.

Everything is drawn from fixed seeds, and nearly everything runs in float64: rounding is then far below any real fault,
even where a mechanism makes discrete decisions (a sort, a top-k) that float32 could make either way.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from regard.common.patterns import Pattern, is_cross

BATCH, WIDTH, HEADS = 3, 16, 2
LENGTH, CONTEXT_LENGTH = 24, 19  # where any length would do: no power of two, no multiple of each other
LONGEST = 100

# Float64 carries 2e-16. Sums in another order cost one or two digits, an iterated pseudo-inverse (Nyström) six more;
# the smallest faults met in released code, a stabilising epsilon seen through a maximum, are above 1e-6.
TOLERANCE = 1e-8


class Violation(AssertionError):
    """A property does not hold; the message holds the numbers."""


class NotClaimed(Exception):
    """The property does not apply to this pattern, or the mechanism does not claim it."""


@dataclass(frozen=True)
class Inputs:
    """The arguments of a layer: x (b, n, w), and the context (b, m, w) of the cross patterns; masks are True = keep."""

    x: Tensor
    context: Tensor | None = None
    x_mask: Tensor | None = None
    context_mask: Tensor | None = None

    def through(self, layer: Any) -> Tensor:
        """layer(x), or layer(x, context), with the masks that exist."""
        if self.context is None:
            out = layer(self.x, x_mask=self.x_mask)
        else:
            out = layer(self.x, self.context, x_mask=self.x_mask, context_mask=self.context_mask)
        if not isinstance(out, Tensor):
            raise Violation(f"the layer returns a {type(out).__name__}, not a tensor")
        return out

    def mapped(self, change: Callable[[Tensor], Tensor]) -> "Inputs":
        """`change` applied to x, the context and both masks."""
        x, context, x_mask, context_mask = (
            None if value is None else change(value) for value in (self.x, self.context, self.x_mask, self.context_mask)
        )
        assert x is not None
        return Inputs(x, context, x_mask, context_mask)

    def row(self, b: int) -> "Inputs":
        """One row of the batch, as a batch of one."""
        return self.mapped(lambda value: value[b : b + 1])

    def unpadded(self) -> "Inputs":
        """A batch of one without the positions that its masks drop, and without masks."""
        x = self.x if self.x_mask is None else self.x[:, self.x_mask[0]]
        if self.context is None or self.context_mask is None:
            return Inputs(x, self.context)
        return Inputs(x, self.context[:, self.context_mask[0]])

    def filled(self, value: float) -> "Inputs":
        """Masked positions of x and of the context hold `value`."""
        x = self.x if self.x_mask is None else self.x.masked_fill(~self.x_mask[:, :, None], value)
        context = self.context
        if context is not None and self.context_mask is not None:
            context = context.masked_fill(~self.context_mask[:, :, None], value)
        return replace(self, x=x, context=context)


@dataclass(frozen=True)
class Subject:
    """A mechanism's class in one pattern, with the options it is certified with."""

    cls: Any
    pattern: Pattern
    options: dict[str, Any]

    @property
    def cross(self) -> bool:
        return is_cross(self.pattern)

    def layer(self, *, seed: int = 0, dtype: torch.dtype = torch.float64, **changed: Any) -> Any:
        """A small layer in evaluation mode, with parameters moved slightly away from their initial values.

        A fresh layer has zero biases, and a masked position would then have a zero value: a leak would not show.
        """
        sizes = {"width": WIDTH, "heads": HEADS, "pattern": self.pattern}
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            layer = self.cls(**{**sizes, **self.options, **changed})
            for parameter in layer.parameters():
                parameter += 0.05 * torch.randn_like(parameter)
        return layer.to(dtype).eval()

    def inputs(self, n: int = LENGTH, m: int = CONTEXT_LENGTH, *, seed: int = 1, batch: int = BATCH) -> Inputs:
        """Unit-variance inputs without masks, in float64; `m` counts in the cross patterns only."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(batch, n, WIDTH, generator=generator, dtype=torch.float64)
        if not self.cross:
            return Inputs(x)
        return Inputs(x, torch.randn(batch, m, WIDTH, generator=generator, dtype=torch.float64))

    def padded(self, n: int = LENGTH, m: int = CONTEXT_LENGTH) -> Inputs:
        """Inputs whose rows end early: the first is full, the last has one position, the others lie between."""
        inputs = self.inputs(n, m)
        return replace(
            inputs, x_mask=ragged_mask(n), context_mask=None if inputs.context is None else ragged_mask(m).flip(0)
        )

    def scattered(self) -> Inputs:
        """Inputs with masked positions anywhere, the first one too."""
        inputs = self.inputs()
        context = inputs.context
        context_mask = None if context is None else scattered_mask(context.shape[1], 3)
        return replace(inputs, x_mask=scattered_mask(LENGTH, 2), context_mask=context_mask)


def ragged_mask(length: int) -> Tensor:
    """(b, length): rows that keep all, about two thirds, or only one of their positions."""
    kept = torch.tensor([length, (2 * length + 2) // 3, 1])
    return torch.arange(length) < kept[:, None]


def scattered_mask(length: int, seed: int) -> Tensor:
    """(b, length): about two thirds of the positions kept, the first dropped and the last kept."""
    mask = torch.rand(BATCH, length, generator=torch.Generator().manual_seed(seed)) < 2 / 3
    mask[:, 0], mask[:, -1] = False, True
    return mask


def plain(layer: Any) -> Any:
    """A copy of the layer that computes its plain reference, `naive`, in place of `mix`.

    Raises:
        NotClaimed: `naive` is None, as of a module that was made a mechanism (`regard.loading.as_mechanism`).
    """
    if layer.naive is None:
        raise NotClaimed("there is no plain reference")
    other = copy.deepcopy(layer)
    other.mix = other.naive
    return other


def recorded(layer: Any, inputs: Inputs) -> tuple[Tensor, tuple[Any, ...], dict[str, Any], Tensor]:
    """The layer's output on `inputs`, and one call of its `mix` on the way.

    Returned as (output, arguments, keywords, mixed).
    """
    calls: list[tuple[tuple[Any, ...], dict[str, Any], Tensor]] = []

    def watched(*arguments: Any, **keywords: Any) -> Tensor:
        mixed: Tensor = layer.mix(*arguments, **keywords)
        calls.append((arguments, keywords, mixed))
        return mixed

    watching = copy.copy(layer)  # shares its parameters with the layer
    watching.mix = watched
    out = inputs.through(watching)
    if len(calls) != 1:
        raise Violation(f"forward calls mix {len(calls)} times, not once: nothing to compare")
    return out, *calls[0]


class Comparison:
    """Compares tensors, raises `Violation` at the first pair that differs too much, and remembers the largest
    difference.

    Differences count in units of the largest expected entry, or of 1 where that is smaller.
    """

    def __init__(self, tolerance: float = TOLERANCE) -> None:
        self.tolerance, self.largest, self.where = tolerance, 0.0, ""

    def equal(self, actual: Tensor, expected: Tensor, where: str) -> None:
        """`actual` is `expected`, in shape, dtype and values; both must be finite."""
        if (actual.shape, actual.dtype) != (expected.shape, expected.dtype):
            raise Violation(
                f"{where}: {tuple(actual.shape)} {actual.dtype}, expected {tuple(expected.shape)} {expected.dtype}"
            )
        if not actual.numel():
            return
        for tensor, what in ((actual, ""), (expected, ", what it is compared with,")):
            if not tensor.isfinite().all():
                raise Violation(
                    f"{where}{what} holds {tensor[~tensor.isfinite()][0].item()} {first(~tensor.isfinite())}"
                )
        difference = (actual - expected).abs() / expected.abs().max().clamp(min=1)
        largest = difference.max().item()
        if largest > self.tolerance:
            index = first(difference == difference.max())
            raise Violation(f"{where}: differs by {largest:.1e} {index}, tolerance {self.tolerance:.0e}")
        if largest >= self.largest:
            self.largest, self.where = largest, where

    def __str__(self) -> str:
        return f"largest difference {self.largest:.1e} ({self.where}), tolerance {self.tolerance:.0e}"


def first(mask: Tensor) -> str:
    """Where a boolean tensor is True for the first time."""
    return f"at [{', '.join(str(i) for i in mask.nonzero()[0].tolist())}]"
