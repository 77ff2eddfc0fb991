"""The multi-head layer, written once for all mechanisms: projections, split into heads, masks, output projection.

    y = concat_i mix(x W_i^Q, z W_i^K, z W_i^V) W^O         z = x in self attention, the context in cross attention

A mechanism defines `mix` on split heads; one that drops a projection (Optimised, Efficient, Super) leaves it out of
`maps`, and head i then reads column block i of the layer's input. Shapes are `b h n d` inside the layer and `b n w`
outside.
"""

import inspect
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from regard.common.autocast import autocast_enabled
from regard.common.checks import FLOATS, check_choice, check_count, check_flag, check_mask
from regard.common.patterns import ALL_PATTERNS, Pattern, is_causal, is_cross, zero_masked

Capability = Literal["weighted_mean", "stepwise", "function_options", "function_takes"]


@dataclass(frozen=True)
class Call:
    """One call of a mechanism as a function: everything but q, k and v.

    Args:
        options: The mechanism's own options, complete: `function_options` with what the user has set. Default: none.
        seed: Seed of all random draws. Default: 0.
        causal: Must query i not see keys j > i? Default: False.
        key_mask: `(b, m)`, True = keep. Default: None, all keys.
        query_mask: `(b, n)`, True = keep. Default: None, all queries.
        scale: Factor of q · k. Default: None, d ** -0.5.
        window: Keys (before, after) its own place that a query sees, for classes whose `function_takes` has "window";
            a causal query sees none after it anyway. Default: None, all.
    """

    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    causal: bool = False
    key_mask: Tensor | None = None
    query_mask: Tensor | None = None
    scale: float | None = None
    window: tuple[int, int] | None = None

    def rescaled(self, q: Tensor) -> Tensor:
        """q, rescaled so that a mechanism whose softmax scale is always d ** -0.5 applies the call's scale."""
        d = q.shape[-1]
        return q if self.scale is None or math.isclose(self.scale, d**-0.5) else q * (self.scale * d**0.5)


class Attention(nn.Module):
    """Base of every mechanism: a multi-head layer `(b, n, w)` -> `(b, n, w)`.

    `@mechanism` sets `name`, `patterns` and `paper`. A subclass sets or overrides, from most to least often needed:

        mix                 the fast function on split heads
        naive               its plain reference; by default the function `naive_<name>` beside the class
        maps                the projections that exist, of query, key, value and output
        example             small options to certify it with
        exact               the limit in which it is softmax attention
        parameter_count     its cost by formula; so are `mix_flops` and `score_entries`

    and says what it can do; nothing else in the library lists mechanisms, and a subclass with another `mix` has to say it again:

        weighted_mean       the output is a weighted mean of the values, so that `observe` can show the weights
        stepwise            a causal row depends on its own query and no other, so that it can continue from a cache
        function_options    the options of `attend`: without parameters beyond the four projections, it runs as a
                            function in other libraries' models
        function_takes      what else a `Call` of `attend` may ask: "window". And "dense", if it is what models do by
                            themselves, so that their own code may do what no `Call` says; "places", if the output
                            depends on the tokens' places themselves, so that a cache may drop none
        bench_options       the settings that `python -m regard bench` measures

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        pattern: One of the mechanism's patterns. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.

    Raises:
        ValueError: Heads that do not divide the width, sizes below 1, a pattern that the class does not have.
        TypeError: Sizes that are no integers, a bias that is no boolean.
    """

    name: ClassVar[str]
    patterns: ClassVar[tuple[Pattern, ...]]
    paper: ClassVar[str]
    maps: ClassVar[tuple[str, ...]] = ("query", "key", "value", "output")
    example: ClassVar[Mapping[str, Any]] = {}
    needs_query_mask: ClassVar[bool] = False  # True: `mix` and `naive` are also given `query_mask=` (b, n)
    needs_input: ClassVar[bool] = False  # True: `mix` and `naive` are also given `x=` (b, n, w), the layer's input
    weighted_mean: ClassVar[bool] = False
    stepwise: ClassVar[bool] = False
    function_options: ClassVar[Mapping[str, Any] | None] = (
        None  # those of `attend` with their defaults; None: no `attend`
    )
    function_takes: ClassVar[tuple[str, ...]] = ()
    bench_options: ClassVar[tuple[str, ...]] = ("",)  # as "rounds=2 cluster_size=32"; "" is the constructor's defaults

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
        # Must query i not see keys j > i? Not in causal cross attention: the source is seen whole.
        self.causal = is_causal(pattern) and not self.cross
        for name in self.maps:
            self.add_module(name, nn.Linear(width, width, bias=bias))
        self.reset_projections()

    def reset_parameters(self) -> None:
        """Reinitialise in place, as if the layer were built now: projections, own parameters, own draws.

        A layer that was built on "meta" holds, after `to_empty` and this call, what its constructor would have given
        it.
        """
        self.reset_projections()
        self.reset_own()

    def reset_own(self) -> None:
        """Initialise what the mechanism adds: its own parameters and random draws. The constructor calls this last."""

    def reset_projections(self) -> None:
        """Xavier-uniform projections, gain 1/√2 for queries, keys and values; zero biases (as in CAB's layers)."""
        for name in self.maps:
            linear = self.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            nn.init.xavier_uniform_(linear.weight, gain=1.0 if name == "output" else 1 / math.sqrt(2))
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)

    @classmethod
    def exact(cls, length: int) -> Mapping[str, Any] | None:
        """The limit in which the mechanism is softmax attention.

        Args:
            length: n = m.

        Returns:
            Options under which `mix` is softmax attention of the same q, k, v, or `None` where no such limit is
            claimed.
        """
        return None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "parameters" in vars(cls):
            raise TypeError(
                f"{cls.__name__}.parameters would hide nn.Module.parameters; name the formula parameter_count"
            )

    @classmethod
    def parameter_count(cls, *, width: int, heads: int, length: int, bias: bool = True, **options: Any) -> int:
        """Parameters of a layer built with these options: the projections, and what the mechanism adds.

        Args:
            width: Model width w.
            heads: Number of heads.
            length: Tokens of the source.
            bias: Do the projections have biases? Default: True.
            options: The mechanism's own.
        """
        return len(cls.maps) * (width * width + bias * width)

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, **options: Any) -> int:
        """FLOPs of the matrix products of `mix` for one batch row, 2 per multiply-add.

        Causal masks save nothing here, as in the papers' counts.

        Args:
            heads: Number of heads.
            n: Queries.
            m: Keys.
            d: Width of a head's queries and keys.
            e: Width of a head's values.
            options: The mechanism's own.
        """
        return 2 * heads * n * m * (d + e)

    @classmethod
    def score_entries(cls, *, heads: int, n: int, m: int, **options: Any) -> int:
        """Entries of the score-like matrices that the definition asks for, for one batch row.

        Args:
            heads: Number of heads.
            n: Queries.
            m: Keys.
            options: The mechanism's own.
        """
        return heads * n * m

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        x_mask: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> Tensor:
        """Run the layer.

        Args:
            x: `(b, n, w)`, the sequence of the queries, and in self patterns of the keys and values.
            context: `(b, m, w)`, the source of cross patterns; self patterns refuse it. Default: None.
            x_mask: `(b, n)`, boolean, True = keep. Default: None, all tokens.
            context_mask: `(b, m)`, boolean, True = keep. Default: None, all tokens.

        Returns:
            `(b, n, w)`. Rows of masked positions of x hold finite numbers without meaning.

        Raises:
            ValueError: Shapes, devices or a context that do not fit the layer and its pattern.
            TypeError: A dtype that differs from the parameters', or a mask that is not boolean.
        """
        self._check(x, context, x_mask, context_mask)
        x = zero_masked(x, x_mask)
        if context is None:
            source, key_mask = x, x_mask
        else:
            source, key_mask = zero_masked(context, context_mask), context_mask
        q, k, v = self._split("query", x), self._split("key", source), self._split("value", source)
        # Under autocast projections give half precision, and inputs without a projection are cast to match.
        k, v = k.to(q.dtype), v.to(q.dtype)
        also = {"query_mask": x_mask} if self.needs_query_mask else {}
        also |= {"x": x} if self.needs_input else {}
        mixed = self.mix(q, k, v, key_mask, **also)
        return self.get_submodule("output")(rearrange(mixed, "b h n d -> b n (h d)"))  # type: ignore[no-any-return]

    if TYPE_CHECKING:

        def __call__(
            self,
            x: Tensor,
            context: Tensor | None = None,
            *,
            x_mask: Tensor | None = None,
            context_mask: Tensor | None = None,
        ) -> Tensor: ...

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        """Mix the values on split heads: this is what defines a mechanism.

        Args:
            q: Queries `(b, h, n, d)`.
            k: Keys `(b, h, m, d)`.
            v: Values `(b, h, m, d)`.
            key_mask: `(b, m)`, True = keep, or `None`.

        Returns:
            `(b, h, n, d)`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define mix(q, k, v, key_mask)")

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        """The plain reference of `mix`, with the same arguments: the definition in a few lines, however slow."""
        reference = getattr(sys.modules[type(self).__module__], f"naive_{self.name}", None)
        if reference is None:
            raise NotImplementedError(
                f"{type(self).__name__} must define naive(q, k, v, key_mask), its plain reference"
            )
        causal = {"causal": self.causal} if "causal" in inspect.signature(reference).parameters else {}
        return reference(q, k, v, key_mask=key_mask, **causal)  # type: ignore[no-any-return]

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The next token of causal self attention.

        Fed one after the other, the tokens of a sequence give the rows of `forward`.

        Args:
            x: `(b, 1, w)`, the token.
            state: What the last call returned. Default: None, for the first token.

        Returns:
            The output `(b, 1, w)` and the next state; a state is never changed in place.

        Raises:
            ValueError: A pattern other than "causal_self", more than one token, or a state of a different batch size.
            NotImplementedError: A mechanism without a step-by-step form.
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
        """One token of `mix`: q, k, v `(b, h, 1, d)` and the state so far or `None` -> `(b, h, 1, d)`, next state."""
        raise NotImplementedError(
            f"{type(self).__name__} has no step-by-step form: it defines no mix_step(q, k, v, state)"
        )

    @classmethod
    def attend(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        """The mechanism as a function, for models whose projections are their own; needs `function_options`.

        Args:
            q: Queries `(b, h, n, d)`.
            k: Keys `(b, h, m, d)`.
            v: Values `(b, h, m, e)`.
            call: Everything else, its options complete.

        Returns:
            `(b, h, n, e)`.
        """
        raise NotImplementedError(f"{cls.__name__} sets function_options and must define attend(q, k, v, call)")

    @classmethod
    def attend_last(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        """Causal `attend` of the last n of m tokens, as with a cache, for a `stepwise` mechanism.

        q `(b, h, n, d)`, k and v of m tokens -> `(b, h, n, e)`.
        """
        n, m = q.shape[2], k.shape[2]
        return cls.attend(F.pad(q, (0, 0, m - n, 0)), k, v, call)[:, :, m - n :]

    @classmethod
    def drawn_options(cls, q: Tensor, call: Call) -> dict[str, Any]:
        """The options of a call with its random draws, for `Observation.options`; empty if there is nothing to show."""
        return {}

    @property
    def draws_each_call(self) -> bool:
        """Does every call draw new random numbers, so that it cannot be repeated later?"""
        return False

    def observed_options(self) -> dict[str, Any]:
        """What `Observation.options` shows of a layer: empty, or what `collisions` needs."""
        return {}

    def attended_values(self, v: Tensor, key_mask: Tensor | None) -> Tensor:
        """The values `(b, h, m, e)` that the weights of a weighted mean weigh.

        That is v, or what the mechanism has made of it before.
        """
        return v

    def mix_attended(self, q: Tensor, k: Tensor, values: Tensor, key_mask: Tensor | None, **also: Any) -> Tensor:
        """`mix`, with `attended_values` given instead of v."""
        return type(self).mix(self, q, k, values, key_mask, **also)

    @classmethod
    def collisions(
        cls, q: Tensor, k: Tensor, query_mask: Tensor | None, key_mask: Tensor | None, **options: Any
    ) -> Tensor | None:
        """Which queries meet which keys in each round, `(r, b, h, n, m)`; `None`: the mechanism has no clusters."""
        return None

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
        # Sharded, quantised or adapted projections are subclasses that take care of their dtypes themselves, as autocast does.
        if type(output) is nn.Linear and value.dtype != output.weight.dtype and not autocast_enabled(value.device.type):
            raise TypeError(f"{what} is {value.dtype}, the layer's parameters are {output.weight.dtype}")


def identity_values(k: Tensor) -> Tensor:
    """Values `(b, h, m, m)` that turn the output of a weighted mean into the weights that made it; k is `(b, h, m, d)`."""
    m = k.shape[2]
    return torch.eye(m, dtype=k.dtype, device=k.device).expand(*k.shape[:2], m, m)


def _tensors(state: Any) -> Iterator[Tensor]:
    """The tensors of a step's state: nothing, a tensor, or tuples of them; numbers are left out."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, tuple):
        for part in state:
            yield from _tensors(part)


def claimed(cls: type, capability: Capability) -> Any:
    """What a class declares that it can do. A subclass with a `mix` of its own is a new mechanism and inherits no
    claim.

    Args:
        cls: A subclass of `Attention`, or another class with attributes of the same names.
        capability: `weighted_mean`, `stepwise`, `function_options` or `function_takes`, see `Attention`.

    Returns:
        The class's own value, or that of `Attention`, which claims nothing.
    """
    for base in cls.__mro__:
        if capability in vars(base):
            return vars(base)[capability]
        if "mix" in vars(base):
            break
    return vars(Attention)[capability]
