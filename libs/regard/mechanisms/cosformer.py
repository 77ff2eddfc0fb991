"""cosFormer: rectified linear attention whose weights fall with the distance as a cosine does.

    out_i = Σ_j w_ij v_j / max(Σ_j w_ij, 1e-6)        w_ij = ReLU(q_i) · ReLU(k_j) · cos(π (i − j) / 2M)        M = max(n, m)

Since cos(a − b) = cos a cos b + sin a sin b, w_ij is the product of [ReLU(q) sin; ReLU(q) cos] and [ReLU(k) sin;
ReLU(k) cos], and the sums run over keys once; over j ≤ i when causal. Qin et al., "cosFormer: Rethinking Softmax in
Attention", 2022, equations 8 to 11; no softmax scale. Two choices where the paper is silent. Padding: positions and
lengths count real tokens only, so that a row of a padded batch equals its unpadded run. Causal: M = n would let an
output depend on how long the future is, so that a causal *layer* has a fixed M, `horizon`. Time O((n + m) d e), memory
O((n + m) (d + e)); the causal form takes as long, span by span.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.attention import Attention, Call
from regard.common.autocast import disable_autocast
from regard.common.checks import check_count, check_heads, check_mask
from regard.common.chunking import iterate_spans
from regard.common.patterns import Pattern, zero_masked
from regard.common.prefix_sum import PrefixState, extend_prefix_sum
from regard.registry import mechanism

EPSILON = 1e-6
CAUSAL_HORIZON = 8192  # CAB's longest causal length


def naive_cosformer(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool = False,
    key_mask: Tensor | None = None,
    query_mask: Tensor | None = None,
    horizon: int | None = None,
) -> Tensor:
    """The definition, with its n × m matrix in full. Arguments as `cosformer`."""
    b, n, m = q.shape[0], q.shape[2], k.shape[2]
    if query_mask is None and key_mask is not None and n == m:
        query_mask = key_mask
    queries = torch.ones(b, n, dtype=torch.bool, device=q.device) if query_mask is None else query_mask
    keys = torch.ones(b, m, dtype=torch.bool, device=q.device) if key_mask is None else key_mask
    k, v = zero_masked(k, keys), zero_masked(v, keys)
    i, j = queries.cumsum(1)[:, :, None].to(q.dtype), keys.cumsum(1)[:, None, :].to(q.dtype)  # b n 1, b 1 m
    M = torch.maximum(queries.sum(1), keys.sum(1)).clamp(min=1)[:, None, None] if horizon is None else horizon
    weights = q.relu() @ k.relu().mT * (math.pi * (i - j) / (2 * M)).cos()[:, None]
    if causal:
        weights = weights.tril()
    return weights @ v / weights.sum(-1, keepdim=True).clamp(min=EPSILON)


@disable_autocast
def cosformer(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool = False,
    key_mask: Tensor | None = None,
    query_mask: Tensor | None = None,
    horizon: int | None = None,
) -> Tensor:
    """cosFormer attention on split heads (Qin et al. 2022, equations 8 to 11). Half precision is summed in float32.

    Args:
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, m, d)`.
        v: Values `(b, h, m, e)`.
        causal: Must query i not see keys j > i? Needs n = m. Default: False.
        key_mask: `(b, m)`, boolean, True = keep. Default: None, all keys.
        query_mask: `(b, n)`, boolean, True = keep; it affects only positions and M. Default: None, `key_mask` if n = m
            (self attention), all queries otherwise.
        horizon: M, at least n and m. Default: None, each row's larger number of real tokens.

    Returns:
        `(b, h, n, e)`; a query that may see no key gets 0.

    Raises:
        ValueError: Shapes, devices or options that do not fit; the message has the numbers.
        TypeError: Arguments of the wrong type.
    """
    check_heads(q, k, v, key_mask=key_mask, self_attention=causal)
    b, h, n, _ = q.shape
    m, e = v.shape[2:]
    if query_mask is None:
        query_mask = key_mask if n == m else None
    check_mask(query_mask, b, n, "query_mask", q.device)
    if horizon is not None:
        check_count(horizon, 1, "horizon")
        if horizon < max(n, m):
            raise ValueError(f"horizon must be at least the longest length, got {horizon} for n = {n} and m = {m}")
    if 0 in (n, m):
        return v.new_zeros(b, h, n, e)
    narrow, wide = v.dtype, torch.promote_types(v.dtype, torch.float32)
    q_place, q_length = _places(query_mask, n, q.device)
    k_place, k_length = _places(key_mask, m, q.device)
    quarter = math.pi / 2 / (torch.maximum(q_length, k_length).clamp(min=1).to(wide) if horizon is None else horizon)
    q_angle, k_angle = q_place.to(wide) * quarter, k_place.to(wide) * quarter
    if causal:
        return _causal(q, k, v, q_angle, k_angle, key_mask)
    q, k = _turned(q.to(wide), q_angle), _turned(zero_masked(k, key_mask).to(wide), k_angle)
    v = F.pad(zero_masked(v, key_mask).to(wide), (0, 1), value=1)  # the last value column sums to the denominator
    summed = q @ (k.mT @ v)
    return (summed[..., :-1] / summed[..., -1:].clamp(min=EPSILON)).to(narrow)


@disable_autocast
def last_cosformer(q: Tensor, k: Tensor, v: Tensor, *, key_mask: Tensor | None, horizon: int) -> Tensor:
    """Causal cosFormer of the last token alone: q `(b, h, 1, d)`, k and v of all m tokens -> `(b, h, 1, e)`."""
    m, narrow, wide = k.shape[2], v.dtype, torch.promote_types(v.dtype, torch.float32)
    if horizon < m:
        raise ValueError(f"horizon must be at least the longest length, got {horizon} for m = {m}")
    place, length = _places(key_mask, m, q.device)
    quarter = math.pi / 2 / horizon
    turned_q = _turned(q.to(wide), length.to(wide) * quarter)
    turned_k = _turned(zero_masked(k, key_mask).to(wide), place.to(wide) * quarter)
    summed = turned_q @ turned_k.mT @ F.pad(zero_masked(v, key_mask).to(wide), (0, 1), value=1)
    return (summed[..., :-1] / summed[..., -1:].clamp(min=EPSILON)).to(narrow)


def _causal(q: Tensor, k: Tensor, v: Tensor, q_angle: Tensor, k_angle: Tensor, key_mask: Tensor | None) -> Tensor:
    """Span by span; the angles are π i / 2M, (b or 1, 1, n, 1)."""
    past: PrefixState | None = None
    rows: list[Tensor] = []
    for part in iterate_spans(q, k, v, key_mask):
        turned = _turned(part.q, q_angle[:, :, part.at]), _turned(part.k, k_angle[:, :, part.at])
        summed, past = extend_prefix_sum(past, *turned, F.pad(part.v, (0, 1), value=1))
        out = summed[..., :-1] / summed[..., -1:].clamp(min=EPSILON)
        rows.append(out.masked_fill(part.poisoned, torch.nan).to(v.dtype))
    return torch.cat(rows, 2)


def _places(mask: Tensor | None, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Each token's place among the real ones, from 1, (b or 1, 1, length, 1), and how many those are (b or 1, 1, 1, 1)."""
    real = torch.ones(1, length, dtype=torch.bool, device=device) if mask is None else mask
    place = real.cumsum(1)[:, None, :, None]
    return place, place[:, :, -1:]


def _turned(x: Tensor, angle: Tensor) -> Tensor:
    """[ReLU(x) sin; ReLU(x) cos]: x (b, h, n, d) -> (b, h, n, 2d)."""
    x = x.relu()
    return torch.cat((x * angle.sin(), x * angle.cos()), -1)


@mechanism(
    "cosformer",
    patterns=("noncausal_self", "causal_self", "noncausal_cross"),
    paper="Qin et al. 2022, as in CAB (Zhang et al. 2023)",
)
class CosformerAttention(Attention):
    """Multi-head cosFormer; no parameters beyond the four projections.

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        horizon: M. For a causal layer set it to the longest sequence that will occur: at that length it equals the
            paper's M = n. Longer input raises a ValueError. Default: None, 8,192 when causal (nearly no decay over
            short sequences) and max(n, m) otherwise.
        pattern: One of the class's `patterns`. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.

    Raises:
        ValueError: Impossible sizes or options.
        TypeError: Options of the wrong type.
    """

    needs_query_mask = True
    stepwise = True
    function_options: ClassVar[Mapping[str, Any]] = {"horizon": None}
    function_takes = ("places",)

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        horizon: int | None = None,
        pattern: Pattern = "noncausal_self",
        bias: bool = True,
    ) -> None:
        if horizon is not None:
            check_count(horizon, 1, "horizon")
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        self.horizon = CAUSAL_HORIZON if horizon is None and self.causal else horizon

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, query_mask: Tensor | None = None) -> Tensor:
        options: dict[str, Any] = {"causal": self.causal, "horizon": self.horizon}
        return cosformer(q, k, v, key_mask=key_mask, query_mask=self._queries(q, query_mask), **options)

    def naive(
        self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, query_mask: Tensor | None = None
    ) -> Tensor:
        options: dict[str, Any] = {"causal": self.causal, "horizon": self.horizon}
        return naive_cosformer(q, k, v, key_mask=key_mask, query_mask=self._queries(q, query_mask), **options)

    def _queries(self, q: Tensor, query_mask: Tensor | None) -> Tensor | None:
        if self.cross and query_mask is None:  # n = m would be mistaken for self attention
            return torch.ones(q.shape[0], q.shape[2], dtype=torch.bool, device=q.device)
        return query_mask

    def mix_step(
        self, q: Tensor, k: Tensor, v: Tensor, state: tuple[Tensor, int] | None
    ) -> tuple[Tensor, tuple[Tensor, int]]:
        """The state: the sums (b, h, 2d, e + 1), and how many tokens they hold."""
        assert self.horizon is not None
        place = 1 if state is None else state[1] + 1
        if place > self.horizon:
            raise ValueError(
                f"token {place} is beyond the horizon of {self.horizon}; build the layer with a longer one"
            )
        narrow, wide = v.dtype, torch.promote_types(v.dtype, torch.float32)
        angle = torch.tensor(math.pi / 2 * place / self.horizon, dtype=wide, device=q.device)
        sums = _turned(k.to(wide), angle).mT @ F.pad(v.to(wide), (0, 1), value=1)
        if state is not None:
            sums = state[0] + sums
        summed = _turned(q.to(wide), angle) @ sums
        return (summed[..., :-1] / summed[..., -1:].clamp(min=EPSILON)).to(narrow), (sums, place)

    @classmethod
    def attend(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        """cosFormer has no scale: its weights are products, whose scale cancels with the denominator's.

        A causal horizon is 8,192 by default.
        """
        horizon = call.options["horizon"] or (CAUSAL_HORIZON if call.causal else None)
        query_mask = call.query_mask
        if query_mask is None:  # otherwise n = m would be mistaken for self attention
            query_mask = torch.ones(q.shape[0], q.shape[2], dtype=torch.bool, device=q.device)
        return cosformer(q, k, v, causal=call.causal, horizon=horizon, key_mask=call.key_mask, query_mask=query_mask)

    @classmethod
    def attend_last(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        """A single last token comes after all others."""
        if q.shape[2] > 1:
            return super().attend_last(q, k, v, call)
        return last_cosformer(q, k, v, key_mask=call.key_mask, horizon=call.options["horizon"] or CAUSAL_HORIZON)

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, **options: Any) -> int:
        """2 (n + m) 2d (e + 1) per head: sums and outputs, the denominator next to the values.

        Causal form: the same definition.
        """
        return 2 * heads * (n + m) * 2 * d * (e + 1)

    @classmethod
    def score_entries(cls, *, heads: int, n: int, m: int, **options: Any) -> int:
        """None: there are only sums over the keys."""
        return 0

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, horizon={self.horizon}"
