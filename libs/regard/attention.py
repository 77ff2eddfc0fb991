"""The multi-head layer, written once for all mechanisms: maps, head split, masks, output map.

    y = concat_i mix(x W_i^Q, z W_i^K, z W_i^V) W^O         z = x in self attention, the context in cross attention

A mechanism gives `mix` on split heads; one that drops a map (Optimised, Efficient, Super) leaves it out of `maps`, and head i then reads
column block i of the layer's input. Inside: `b h n d`; at the borders: `b n w`.
"""

import inspect
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from einops import rearrange
from torch import Tensor, nn

from regard.common.autocast import autocast_enabled
from regard.common.checks import FLOATS, check_choice, check_count, check_flag, check_mask
from regard.common.patterns import ALL_PATTERNS, Pattern, is_causal, is_cross, zero_masked


class Attention(nn.Module):
    """Base of every mechanism.

    A subclass sets or overrides, from most to least often needed:
    `mix` (the fast function on split heads), `naive` (its plain reference; by default the function `naive_<name>` beside the class),
    `maps` (the projections that exist), `example` (small options to certify it with), `exact` (the limit in which it is softmax attention),
    `parameter_count`, `mix_flops` and `score_entries` (its cost by formula).
    `@mechanism` sets `name`, `patterns` and `paper`.
    """

    name: ClassVar[str]
    patterns: ClassVar[tuple[Pattern, ...]]
    paper: ClassVar[str]
    maps: ClassVar[tuple[str, ...]] = ("query", "key", "value", "output")
    example: ClassVar[Mapping[str, Any]] = {}
    needs_query_mask: ClassVar[bool] = False  # True: `mix` and `naive` are also given `query_mask=` (b, n)
    needs_input: ClassVar[bool] = False  # True: `mix` and `naive` are also given `x=` (b, n, w), the layer's input

    def __init__(self, *, width: int, heads: int, pattern: Pattern = "noncausal_self", bias: bool = True) -> None:
        super().__init__()
        check_count(width, 1, "width")
        check_count(heads, 1, "heads")
        check_flag(bias, "bias")
        check_choice(pattern, getattr(type(self), "patterns", ALL_PATTERNS), "pattern")
        if width % heads:
            raise ValueError(
                f"heads must divide the width, got width = {width} and heads = {heads} ({width} / {heads} = {width / heads:.3g})"
            )
        self.width, self.heads, self.pattern = width, heads, pattern
        self.cross = is_cross(pattern)
        self.causal = (
            is_causal(pattern) and not self.cross
        )  # must query i be kept from keys j > i? Not in causal cross: the source is seen whole
        for name in self.maps:
            self.add_module(name, nn.Linear(width, width, bias=bias))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform maps, gain 1/√2 for queries, keys and values; zero biases (as CAB's layers have it)."""
        for name in self.maps:
            linear = self.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            nn.init.xavier_uniform_(linear.weight, gain=1.0 if name == "output" else 1 / math.sqrt(2))
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)

    @classmethod
    def exact(cls, length: int) -> Mapping[str, Any] | None:
        """Options under which `mix` is softmax attention of the same q, k, v at n = m = `length`; `None`: the mechanism claims no such limit."""
        return None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "parameters" in vars(cls):
            raise TypeError(
                f"{cls.__name__}.parameters would hide nn.Module.parameters; name the formula parameter_count"
            )

    @classmethod
    def parameter_count(cls, *, width: int, heads: int, length: int, bias: bool = True, **options: Any) -> int:
        """Parameters of a layer built with these options: the maps, and what the mechanism adds. `length` is that of the source."""
        return len(cls.maps) * (width * width + bias * width)

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, **options: Any) -> int:
        """FLOPs (2 a multiply-add) of the matrix products of `mix` for one batch row. Causal masks save nothing here, as in the papers' counts."""
        return 2 * heads * n * m * (d + e)

    @classmethod
    def score_entries(cls, *, heads: int, n: int, m: int, **options: Any) -> int:
        """Entries of the score-like matrices that the definition asks for, for one batch row."""
        return heads * n * m

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        x_mask: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> Tensor:
        """x (b, n, w), context (b, m, w) -> (b, n, w). Masks are boolean (b, n) and (b, m), True = keep.

        Cross patterns need `context`, self patterns refuse it. Rows of masked positions of x hold numbers of no meaning, but finite ones.
        """
        self._check(x, context, x_mask, context_mask)
        x = zero_masked(x, x_mask)
        if context is None:
            source, key_mask = x, x_mask
        else:
            source, key_mask = zero_masked(context, context_mask), context_mask
        q, k, v = self._split("query", x), self._split("key", source), self._split("value", source)
        k, v = k.to(q.dtype), v.to(q.dtype)  # under autocast a map gives half precision, and what has no map follows
        also = {"query_mask": x_mask} if self.needs_query_mask else {}
        also |= {"x": x} if self.needs_input else {}
        mixed = self.mix(q, k, v, key_mask, **also)
        return self.get_submodule("output")(rearrange(mixed, "b h n d -> b n (h d)"))  # type: ignore[no-any-return]

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        """q (b, h, n, d), k and v (b, h, m, d), `key_mask` (b, m) -> (b, h, n, d)."""
        raise NotImplementedError(f"{type(self).__name__} must define mix(q, k, v, key_mask)")

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        """The plain reference of `mix`: the definition in a few lines, however slow."""
        reference = getattr(sys.modules[type(self).__module__], f"naive_{self.name}", None)
        if reference is None:
            raise NotImplementedError(
                f"{type(self).__name__} must define naive(q, k, v, key_mask), its plain reference"
            )
        causal = {"causal": self.causal} if "causal" in inspect.signature(reference).parameters else {}
        return reference(q, k, v, key_mask=key_mask, **causal)  # type: ignore[no-any-return]

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The next token of causal self attention: x (b, 1, w) and the state so far, `None` to begin -> output (b, 1, w), next state.

        Fed one after the other, the tokens of a sequence give the rows of `forward`. A state is never changed in place.
        """
        if self.pattern != "causal_self":
            raise ValueError(f"step needs the pattern 'causal_self', this layer has {self.pattern!r}")
        self._check(x, None, None, None)
        if x.shape[1] != 1:
            raise ValueError(f"step takes one token at a time, x (batch, 1, {self.width}), got {tuple(x.shape)}")
        if others := {part.shape[0] for part in _tensors(state)} - {x.shape[0]}:
            raise ValueError(f"the state is that of {min(others)} sequences, x holds {x.shape[0]}")
        q, k, v = (self._split(name, x) for name in ("query", "key", "value"))
        mixed, state = self.mix_step(q, k, v, state)
        return self.get_submodule("output")(rearrange(mixed, "b h n d -> b n (h d)")), state

    def mix_step(self, q: Tensor, k: Tensor, v: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One token of `mix`: q, k, v (b, h, 1, d) and the state so far or `None` -> (b, h, 1, d), next state."""
        raise NotImplementedError(
            f"{type(self).__name__} has no step-by-step form: it defines no mix_step(q, k, v, state)"
        )

    def extra_repr(self) -> str:
        return f"width={self.width}, heads={self.heads}, pattern={self.pattern}"

    def _split(self, name: str, x: Tensor) -> Tensor:
        mapped = self.get_submodule(name)(x) if name in self.maps else x
        return rearrange(mapped, "b n (h d) -> b h n d", h=self.heads)

    def _check(self, x: Tensor, context: Tensor | None, x_mask: Tensor | None, context_mask: Tensor | None) -> None:
        if self.cross and context is None:
            raise ValueError(f"the pattern {self.pattern!r} needs a context: layer(x, context=z)")
        if not self.cross and (context is not None or context_mask is not None):
            raise ValueError(f"the pattern {self.pattern!r} takes no context; build the layer with a cross pattern")
        self._check_input(x, "x")
        if context is not None:
            self._check_input(context, "context")
        check_mask(x_mask, x.shape[0], x.shape[1], "x_mask", x.device)
        if context is not None:
            if context.shape[0] != x.shape[0]:
                raise ValueError(f"x and context must have one batch size, got {x.shape[0]} and {context.shape[0]}")
            if context.device != x.device:
                raise ValueError(f"x and context must be on one device, got {x.device} and {context.device}")
            check_mask(context_mask, context.shape[0], context.shape[1], "context_mask", context.device)

    def _check_input(self, value: Tensor, what: str) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"{what} must be a tensor, got a {type(value).__name__}")
        if value.ndim != 3 or value.shape[-1] != self.width:
            raise ValueError(f"{what} must be (batch, length, width = {self.width}), got {tuple(value.shape)}")
        if value.dtype not in FLOATS:
            raise TypeError(f"{what} must be floating point, got {value.dtype}")
        output = self.get_submodule("output")
        # Sharded, quantised or adapted maps are subclasses, and look after their types themselves, as autocast does.
        if type(output) is nn.Linear and value.dtype != output.weight.dtype and not autocast_enabled(value.device.type):
            raise TypeError(f"{what} is {value.dtype}, the layer's parameters are {output.weight.dtype}")


def _tensors(state: Any) -> Iterator[Tensor]:
    """The tensors of a step's state: nothing, a tensor, or tuples of them; numbers are left out."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, tuple):
        for part in state:
            yield from _tensors(part)
