"""Linformer: keys and values are projected along the length, and queries attend to c rows in place of m.

    K̄ = E K        V̄ = F V        out_i = Σ_c softmax_c(scale · q_i · K̄_c) V̄_c        scale = d^(-1/2)

E and F (c, length) are learned and shared by the heads; an input of m < length tokens takes their first m columns.
Masked tokens are zero before the projection, as if they were not there. Every row of K̄ holds every key, so that there
is no causal form. Wang et al., "Linformer: Self-Attention with Linear Complexity", 2020, equation 7, with E and F
shared headwise. Time O((n + m) c (d + e)), memory O((n + m) c).
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn

from regard.attention import Attention
from regard.common.autocast import autocast_enabled, disable_autocast
from regard.common.checks import check_count, check_heads, check_scale, check_tensor
from regard.common.patterns import Pattern, zero_masked
from regard.mechanisms.softmax import softmax
from regard.registry import mechanism


def naive_linformer(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    key_projection: Tensor,
    value_projection: Tensor,
    key_mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """The definition, summed over the tokens one by one. Arguments as `linformer`."""
    rank = key_projection.shape[0]
    keys, values = k.new_zeros(*k.shape[:2], rank, k.shape[3]), v.new_zeros(*v.shape[:2], rank, v.shape[3])
    k, v = zero_masked(k, key_mask), zero_masked(v, key_mask)
    for j in range(k.shape[2]):
        keys = keys + key_projection[:, j, None] * k[:, :, j, None]
        values = values + value_projection[:, j, None] * v[:, :, j, None]
    scores = (q.shape[-1] ** -0.5 if scale is None else scale) * (q @ keys.mT)  # b h n c
    return scores.softmax(-1) @ values


@disable_autocast
def linformer(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    key_projection: Tensor,
    value_projection: Tensor,
    key_mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """Linformer attention on split heads (Wang et al. 2020, equation 7). Half precision is summed in float32.

    Args:
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, m, d)`.
        v: Values `(b, h, m, e)`.
        key_projection: E, `(c, length)` with length ≥ m.
        value_projection: F, `(c, length)`.
        key_mask: `(b, m)`, boolean, True = keep. Default: None, all keys.
        scale: Factor of q · K̄. Default: None, d ** -0.5.

    Returns:
        `(b, h, n, e)`; a query that may see no key gets 0.

    Raises:
        ValueError: Shapes, devices or options that do not fit; the message has the numbers.
        TypeError: Arguments of the wrong type.
    """
    check_heads(q, k, v, key_mask=key_mask)
    check_scale(scale)
    check_tensor(key_projection, "key_projection", q.device)
    check_tensor(value_projection, "value_projection", q.device)
    m, shape = k.shape[2], tuple(key_projection.shape)
    if len(shape) != 2 or 0 in shape or value_projection.shape != shape:
        shapes = f"{shape} and {tuple(value_projection.shape)}"
        raise ValueError(f"key_projection and value_projection must be (rank, length), both alike, got {shapes}")
    if m > shape[1]:
        raise ValueError(f"Linformer of length {shape[1]} cannot take {m} tokens: build it with length={m}")
    dtype, wide = v.dtype, torch.promote_types(v.dtype, torch.float32)
    keys = key_projection[:, :m].to(wide) @ zero_masked(k, key_mask).to(wide)  # b h c d
    values = value_projection[:, :m].to(wide) @ zero_masked(v, key_mask).to(wide)
    return softmax(q.to(wide), keys, values, scale=scale).to(dtype)


@mechanism("linformer", patterns=("noncausal_self", "noncausal_cross"), paper="Wang et al. 2020")
class LinformerAttention(Attention):
    """Multi-head Linformer with learned `key_projection` and `value_projection` (rank, length).

    Both are initialised Xavier-uniform, our choice. Tokens are told apart by their place in the row, so padding belongs
    at the end.

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        length: The longest source.
        rank: Rows c of the projections. Default: 128, the paper's smallest, at length 512.
        pattern: One of the class's `patterns`. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.

    Raises:
        ValueError: Impossible sizes or options.
        TypeError: Options of the wrong type.
    """

    example: ClassVar[Mapping[str, Any]] = {"length": 128, "rank": 8}

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        length: int,
        rank: int = 128,  # the paper's smallest, at length 512
        pattern: Pattern = "noncausal_self",
        bias: bool = True,
    ) -> None:
        check_count(length, 1, "length")
        check_count(rank, 1, "rank")
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        self.length, self.rank = length, rank
        self.key_projection, self.value_projection = (nn.Parameter(torch.empty(rank, length)) for _ in range(2))
        self.reset_own()

    def reset_own(self) -> None:
        for projection in (self.key_projection, self.value_projection):
            nn.init.xavier_uniform_(projection)

    def options(self) -> dict[str, Any]:
        """What `linformer` and `naive_linformer` take from the layer."""
        return {"key_projection": self.key_projection, "value_projection": self.value_projection}

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        x_mask: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> Tensor:
        """As `regard.Attention`. E (X W + b) is (E X) W + (E 1) b: c rows are computed, never the keys of m tokens."""
        self._check(x, context, x_mask, context_mask)
        source, key_mask = (x, x_mask) if context is None else (context, context_mask)
        if not self.rank < source.shape[1] <= self.length or not self._is_plain(x):
            return super().forward(x, context, x_mask=x_mask, context_mask=context_mask)
        source = zero_masked(source, key_mask)
        q = self._split("query", source if context is None else zero_masked(x, x_mask))
        k = self._compressed("key", self.key_projection, source, key_mask)
        v = self._compressed("value", self.value_projection, source, key_mask)
        mixed = softmax(q, k, v)
        return self.get_submodule("output")(rearrange(mixed, "b h n d -> b n (h d)"))  # type: ignore[no-any-return]

    def _compressed(self, name: str, projection: Tensor, source: Tensor, key_mask: Tensor | None) -> Tensor:
        """E (X W + b) by heads, `(b, h, c, d)`; masked tokens are 0 in `source`, and do not count for b."""
        projection = projection[:, : source.shape[1]]
        linear = self.get_submodule(name)
        mapped: Tensor = linear(projection @ source)  # b c w
        bias = linear.bias
        if isinstance(bias, Tensor):
            times = projection.sum(-1) if key_mask is None else key_mask.to(source.dtype) @ projection.mT  # (b) c
            mapped = torch.addcmul(mapped, times[..., None] - 1, bias)
        return rearrange(mapped, "b c (h d) -> b h c d", h=self.heads)

    def _is_plain(self, x: Tensor) -> bool:
        """Are a projection and `mix` the default ones?

        False under autocast and in half precision, where sums are in float32, and while `mix` is observed.
        """
        if x.dtype not in (torch.float32, torch.float64) or autocast_enabled(x.device.type):
            return False
        plain = all(type(self.get_submodule(name)) is nn.Linear for name in ("key", "value"))
        return plain and getattr(self.mix, "__func__", None) is LinformerAttention.mix

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return linformer(q, k, v, key_mask=key_mask, **self.options())

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return naive_linformer(q, k, v, key_mask=key_mask, **self.options())

    @classmethod
    def parameter_count(
        cls, *, width: int, heads: int, length: int, bias: bool = True, rank: int = 128, **options: Any
    ) -> int:
        """4 (w² + w) + 2 c · length."""
        return super().parameter_count(width=width, heads=heads, length=length, bias=bias) + 2 * rank * length

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, rank: int = 128, **options: Any) -> int:
        """2 c (n + m) (d + e) per head: the projections, the scores, the sums."""
        return 2 * heads * rank * (n + m) * (d + e)

    @classmethod
    def score_entries(cls, *, heads: int, n: int, m: int, rank: int = 128, **options: Any) -> int:
        """n c per head."""
        return heads * n * rank

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, length={self.length}, rank={self.rank}"
