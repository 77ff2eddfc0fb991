"""Layers that the paper does not have, and that separate its causes. Each differs from one of the paper's four in one step.

    softmax_narrow   Standard with heads so narrow that it has Super's number of parameters
    softmax_mixed    Standard with W^A:                     H_i = softmax(Q W_i^Q (K W_i^K)ᵀ / √d) W^A V W_i^V
    uniform_mixed    W^A under scores that are all equal:   H_i = 1/m Σ_j (W^A V_i)_j, the same for every query
    mixer            W^A without scores:                    H_i = W^A V_i
    super_identity   Super whose W^A is initialised as the identity: it starts out as Efficient
    orthogonal       Efficient that slices K R_K and V R_V, with fixed random rotations R_K and R_V, instead of K and V
    super_per_head   Super with one W^A per head, which the authors mention as an option
    none             no attention: the block keeps its residual and its feed-forward part alone
    super_unmasked   Super that does not zero padded values before W^A: wrong, and here to show the effect
    softmax_over_queries, super_over_queries
                     Standard and Super whose scores are normalised over the queries in place of the keys, as the code of the one public re-run of
                     the paper has it (NMesaC at 3b2ff81): S_ij = exp(s_ij) / Σ_i' exp(s_i'j). A key's weights sum to 1, a query's need not

All are noncausal self attention. Notation as in `regard.mechanisms.super`; biases as everywhere in this project.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import torch
from einops import rearrange
from torch import Tensor, nn

from regard.attention import Attention
from regard.common.checks import check_count
from regard.common.patterns import Pattern, zero_masked
from regard.mechanisms.softmax import SoftmaxAttention, naive_softmax, softmax
from regard.mechanisms.super import SuperAttention, naive_super_values, super_values

Layer = TypeVar("Layer", bound=type[Attention])
CONTROLS: dict[str, type[Attention]] = {}


def control(name: str) -> Callable[[Layer], Layer]:
    """A decorator that registers a layer in `CONTROLS`, and only there: it is no mechanism of the library."""

    def register(cls: Layer) -> Layer:
        cls.name, cls.patterns, cls.paper = name, ("noncausal_self",), "a control of ours"
        CONTROLS[name] = cls
        return cls

    return register


@control("softmax_narrow")
class SoftmaxNarrow(SoftmaxAttention):
    """Standard attention with `inner` columns in all heads together: the multiple of `heads` that comes closest to Super's number of parameters."""

    example: ClassVar[dict[str, Any]] = {"length": 128}

    def __init__(
        self, *, width: int, heads: int, length: int, pattern: Pattern = "noncausal_self", bias: bool = True
    ) -> None:
        check_count(length, 1, "length")
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        inner = inner_width(width, heads, length, bias)
        for name in ("query", "key", "value"):
            self.add_module(name, nn.Linear(width, inner, bias=bias))
        self.add_module("output", nn.Linear(inner, width, bias=bias))
        self.reset_parameters()

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return naive_softmax(q, k, v, key_mask=key_mask)

    @classmethod
    def parameter_count(cls, *, width: int, heads: int, length: int, bias: bool = True, **options: Any) -> int:
        """4 w i + 3 i + w, where i = inner_width(…)."""
        inner = inner_width(width, heads, length, bias)
        return 4 * width * inner + bias * (3 * inner + width)

    @classmethod
    def mix_flops(cls, **sizes: Any) -> int:
        raise NotImplementedError("regard.cost counts maps of width × width, which this layer does not have")


def inner_width(width: int, heads: int, length: int, bias: bool) -> int:
    """The positive multiple of `heads` that brings Standard attention closest to Super's number of parameters."""
    wanted = SuperAttention.parameter_count(width=width, heads=heads, length=length, bias=bias) - bias * width
    return heads * max(1, round(wanted / (4 * width + 3 * bias) / heads))


@control("none")
class NoAttention(Attention):
    """0 for every token: what the network can do without attention. It has no parameters."""

    def __init__(self, *, width: int, heads: int, pattern: Pattern = "noncausal_self", bias: bool = True) -> None:
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        for name, _ in list(self.named_children()):
            delattr(self, name)

    def forward(self, x: Tensor, context: Tensor | None = None, **masks: Tensor | None) -> Tensor:
        """(b, n, w) -> zeros (b, n, w)."""
        return torch.zeros_like(x)

    @classmethod
    def parameter_count(cls, **sizes: Any) -> int:
        """0."""
        return 0


@control("softmax_mixed")
class SoftmaxMixed(SuperAttention):
    """All four maps and W^A: what W^A adds to standard attention."""

    maps: ClassVar[tuple[str, ...]] = ("query", "key", "value", "output")


@control("uniform_mixed")
class UniformMixed(SuperAttention):
    """W^A and the mean over the tokens: what is left of Super when its scores carry no information."""

    maps: ClassVar[tuple[str, ...]] = ("output",)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        mixing = self.mixing
        v = zero_masked(super_values(v, weight=mixing.weight, bias=mixing.bias, key_mask=key_mask), key_mask)
        if key_mask is None:
            return v.mean(2, keepdim=True).expand(-1, -1, q.shape[2], -1)
        count = key_mask.sum(1).clamp(min=1)[:, None, None, None]
        return (v.sum(2, keepdim=True) / count).expand(-1, -1, q.shape[2], -1)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        mixing = self.mixing
        v = naive_super_values(v, weight=mixing.weight, bias=mixing.bias, key_mask=key_mask)
        return naive_softmax(torch.zeros_like(q), torch.zeros_like(k), v, key_mask=key_mask)

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, **options: Any) -> int:
        """2 m² e per head: a mean takes no product."""
        return 2 * heads * m * m * e


@control("mixer")
class Mixer(SuperAttention):
    """W^A alone: tokens mix by position, whatever they are."""

    maps: ClassVar[tuple[str, ...]] = ("output",)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return super_values(v, weight=self.mixing.weight, bias=self.mixing.bias, key_mask=key_mask)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return naive_super_values(v, weight=self.mixing.weight, bias=self.mixing.bias, key_mask=key_mask)

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, **options: Any) -> int:
        """2 m² e per head."""
        return 2 * heads * m * m * e


@control("super_identity")
class SuperIdentity(SuperAttention):
    """Super whose W^A is initialised as the identity and β as zero; a model that initialises all its maps afterwards sets W^A again."""

    def __init__(
        self, *, width: int, heads: int, length: int, pattern: Pattern = "noncausal_self", bias: bool = True
    ) -> None:
        super().__init__(width=width, heads=heads, length=length, pattern=pattern, bias=bias)
        nn.init.eye_(self.mixing.weight)
        if self.mixing.bias is not None:
            nn.init.zeros_(self.mixing.bias)


class Rotation(nn.Module):
    """x (…, width) -> x R with a fixed random orthogonal R, drawn from torch's generator at construction: a buffer that is never trained."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", nn.init.orthogonal_(torch.empty(width, width)))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.get_buffer("weight").to(x.dtype)


@control("orthogonal")
class OrthogonalAttention(Attention):
    """Efficient attention in other coordinates: with one head it is Efficient again, because W^Q and W^O absorb the rotations."""

    def __init__(self, *, width: int, heads: int, pattern: Pattern = "noncausal_self", bias: bool = True) -> None:
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        for name in ("key", "value"):
            self.add_module(name, Rotation(width))

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return softmax(q, k, v, key_mask=key_mask)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return naive_softmax(q, k, v, key_mask=key_mask)

    @classmethod
    def parameter_count(cls, *, width: int, heads: int, length: int, bias: bool = True, **options: Any) -> int:
        """2 (w² + w): rotations are not trained."""
        return 2 * width * (width + bias)


@control("super_per_head")
class SuperPerHead(Attention):
    """Super with W_i^A (h, l, l) and β_i (h, l), one per head."""

    maps = ("query", "output")
    example: ClassVar[dict[str, Any]] = {"length": 128}

    def __init__(
        self, *, width: int, heads: int, length: int, pattern: Pattern = "noncausal_self", bias: bool = True
    ) -> None:
        check_count(length, 1, "length")
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        self.length = length
        self.mixing_weight = nn.Parameter(torch.empty(heads, length, length))
        self.mixing_bias = nn.Parameter(torch.zeros(heads, length)) if bias else None
        for weight in self.mixing_weight:
            nn.init.xavier_uniform_(weight)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        m = v.shape[2]
        if m > self.length:
            raise ValueError(
                f"Super attention of length {self.length} cannot take {m} tokens: build it with length={m}"
            )
        v = self.mixing_weight[:, :m, :m].to(v.dtype) @ zero_masked(v, key_mask)  # (h m m) (b h m e)
        if self.mixing_bias is not None:
            v = v + self.mixing_bias[:, :m, None].to(v.dtype)
        return softmax(q, k, v, key_mask=key_mask)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        mixed = [
            naive_super_values(
                v[:, i : i + 1],
                weight=self.mixing_weight[i],
                bias=None if self.mixing_bias is None else self.mixing_bias[i],
                key_mask=key_mask,
            )
            for i in range(self.heads)
        ]
        return naive_softmax(q, k, torch.cat(mixed, 1), key_mask=key_mask)

    @classmethod
    def parameter_count(cls, *, width: int, heads: int, length: int, bias: bool = True, **options: Any) -> int:
        """2 (w² + w) + h (l² + l)."""
        return 2 * width * (width + bias) + heads * length * (length + bias)

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, **options: Any) -> int:
        """As Super: W_i^A costs per head what W^A does."""
        return SuperAttention.mix_flops(heads=heads, n=n, m=m, d=d, e=e, **options)


@control("super_unmasked")
class SuperUnmasked(SuperAttention):
    """Super when padding is left to the mask of the scores alone, which acts after W^A."""

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        x_mask: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> Tensor:
        """As `Attention.forward`, without its zeroing of padded tokens."""
        self._check(x, context, x_mask, context_mask)
        q, k, v = (self._split(name, x) for name in ("query", "key", "value"))
        v = super_values(v, weight=self.mixing.weight, bias=self.mixing.bias)
        mixed = softmax(q, k, v, key_mask=x_mask)
        return self.get_submodule("output")(rearrange(mixed, "b h n d -> b n (h d)"))  # type: ignore[no-any-return]


def over_queries(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """H_i = Σ_j exp(q_i·k_j / √d) / Σ_i' exp(q_i'·k_j / √d) v_j, with i' and j over real tokens; for self attention.

    Args:
        q: (b, h, n, d)
        k: (b, h, n, d)
        v: (b, h, n, e)
        mask: (b, n) True for real tokens, or None if all are.

    Returns:
        (b, h, n, e); what stands at padded queries means nothing.
    """
    scores = q @ zero_masked(k, mask).mT * q.shape[-1] ** -0.5
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, :, None], torch.finfo(scores.dtype).min)
    weights: Tensor = scores.softmax(2)  # over the queries
    return weights @ zero_masked(v, mask)


def naive_over_queries(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """The definition: softmax attention's scores, with queries and keys exchanged before the softmax and back after it."""
    mixed = torch.zeros(*q.shape[:3], v.shape[-1], dtype=v.dtype, device=v.device)
    for row in range(len(q)):
        real = torch.arange(q.shape[2], device=q.device) if mask is None else mask[row].nonzero().flatten()
        weights = (k[row][:, real] @ q[row][:, real].mT / q.shape[-1] ** 0.5).softmax(-1).mT
        mixed[row][:, real] = weights @ v[row][:, real]
    return mixed


@control("softmax_over_queries")
class SoftmaxOverQueries(SoftmaxAttention):
    """Standard attention normalised over the queries."""

    weighted_mean = False

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return over_queries(q, k, v, key_mask)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return naive_over_queries(q, k, v, key_mask)


@control("super_over_queries")
class SuperOverQueries(SuperAttention):
    """Super normalised over the queries."""

    weighted_mean = False

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        mixing = self.mixing
        values = super_values(v, weight=mixing.weight, bias=mixing.bias, key_mask=key_mask)
        return over_queries(q, k, values, key_mask)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        mixing = self.mixing
        values = naive_super_values(v, weight=mixing.weight, bias=mixing.bias, key_mask=key_mask)
        return naive_over_queries(q, k, values, key_mask)
