"""ABC: the function on split heads and the layer. Formula and source: `regard.mechanisms.abc`."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from regard.attention import Attention
from regard.common.autocast import disable_autocast
from regard.common.checks import VARIANTS, Variant, check_choice, check_count, check_heads, check_scale, check_tensor
from regard.common.nonfinite import zero_nonfinite_causal
from regard.common.patterns import ALL_PATTERNS, MASKED_LOGIT, Pattern, zero_masked
from regard.mechanisms.abc.chunk import chunk_abc
from regard.mechanisms.abc.naive import naive_abc
from regard.registry import mechanism


@disable_autocast
def abc(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    key_slots: Tensor,
    value_slots: Tensor,
    causal: bool = False,
    key_mask: Tensor | None = None,
    scale: float | None = None,
    variant: Variant = "paper",
    chunk: int = 64,
) -> Tensor:
    """ABC on split heads (Peng et al. 2022, as in CAB). Half precision is summed in float32.

    Args:
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, m, d)`.
        v: Values `(b, h, m, e)`.
        key_slots: φ, `(d, c)` with c ≥ 1.
        value_slots: ψ, `(e, c)`.
        causal: Must query i not see keys j > i? Needs n = m. Default: False.
        key_mask: `(b, m)`, boolean, True = keep. Default: None, all keys.
        scale: Factor of q · k. Default: None, d ** -0.5.
        variant: "paper", or "released" for CAB's code: causal, it weighs the current key and value only. Default:
            "paper".
        chunk: Tokens per chunk of the causal form: trades memory against steps and does not change the result. Default:
            64.

    Returns:
        `(b, h, n, e)`; a query that may see no key gets 0.

    Raises:
        ValueError: Shapes, devices or options that do not fit; the message has the numbers.
        TypeError: Arguments of the wrong type.
    """
    check_heads(q, k, v, key_mask=key_mask, self_attention=causal)
    check_choice(variant, VARIANTS, "variant")
    check_count(chunk, 1, "chunk")
    check_scale(scale)
    check_tensor(key_slots, "key_slots", q.device)
    check_tensor(value_slots, "value_slots", q.device)
    d, e, c = q.shape[3], v.shape[3], key_slots.shape[-1] if key_slots.ndim else 0
    if key_slots.shape != (d, c) or value_slots.shape != (e, c) or c < 1:
        shapes = f"{tuple(key_slots.shape)} and {tuple(value_slots.shape)}"
        raise ValueError(f"key_slots and value_slots must be (d = {d}, c) and (e = {e}, c) with c ≥ 1, got {shapes}")
    scale = d**-0.5 if scale is None else scale
    if causal and variant == "paper" and v.numel():
        slots = {"key_slots": key_slots, "value_slots": value_slots}
        return chunk_abc(q, k, v, **slots, key_mask=key_mask, scale=scale, chunk=chunk)
    dtype, wide = v.dtype, torch.promote_types(v.dtype, torch.float32)
    q, k, v = q.to(wide) * scale, *(zero_masked(x, key_mask).to(wide) for x in (k, v))
    if causal:
        k, v, poisoned = zero_nonfinite_causal(k, v)
        poisoned = poisoned.any(-1, keepdim=True)  # a value's scores read all its features
    key_logits, value_logits = k @ key_slots.to(wide), v @ value_slots.to(wide)  # b h m c
    if key_mask is not None:
        key_logits, value_logits = (
            x.masked_fill(~key_mask[:, None, :, None], MASKED_LOGIT) for x in (key_logits, value_logits)
        )
    if not causal:
        weights = (q @ (key_logits.softmax(2).mT @ k).mT).softmax(-1)  # b h n c
        return (weights @ (value_logits.softmax(2).mT @ v)).to(dtype)
    if v.numel() == 0:
        return v.to(dtype)
    key_weights, value_weights = (x - x.logcumsumexp(2) for x in (key_logits, value_logits))
    weights = ((q * k).sum(-1, keepdim=True) * key_weights.exp()).softmax(-1)
    out = (weights * value_weights.exp()).sum(-1, keepdim=True) * v
    return out.masked_fill(poisoned, torch.nan).to(dtype)


@mechanism("abc", patterns=ALL_PATTERNS, paper="Peng et al. 2022, as in CAB (Zhang et al. 2023)")
class AbcAttention(Attention):
    """Multi-head ABC with two learned slot matrices, `key_slots` and `value_slots` (d, slots), shared by the heads.

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        slots: Number of slots c. Default: 16.
        variant: "paper", or "released" for CAB's code, as in `abc`. Default: "paper".
        pattern: One of the class's `patterns`. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.

    Raises:
        ValueError: Impossible sizes or options.
        TypeError: Options of the wrong type.
    """

    stepwise = True
    bench_options = ("slots=64",)
    example: ClassVar[Mapping[str, Any]] = {"slots": 4}

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        slots: int = 16,
        variant: Variant = "paper",
        pattern: Pattern = "noncausal_self",
        bias: bool = True,
    ) -> None:
        check_count(slots, 1, "slots")
        check_choice(variant, VARIANTS, "variant")
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        self.slots, self.variant = slots, variant
        self.key_slots, self.value_slots = (nn.Parameter(torch.empty(width // heads, slots)) for _ in range(2))
        self.reset_own()

    def reset_own(self) -> None:
        for slot in (self.key_slots, self.value_slots):
            nn.init.xavier_uniform_(slot, gain=1 / math.sqrt(2))

    def options(self) -> dict[str, Any]:
        """What `abc` and `naive_abc` take from the layer."""
        slots = {"key_slots": self.key_slots, "value_slots": self.value_slots}
        return {**slots, "causal": self.causal, "variant": self.variant}

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return abc(q, k, v, key_mask=key_mask, **self.options())

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return naive_abc(q, k, v, key_mask=key_mask, **self.options())

    def mix_step(self, q: Tensor, k: Tensor, v: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One token; the state is (K̃, L) of the keys and (Ṽ, L) of the values, in float32 at least.

        Their shapes are `(b, h, c, d or e)` and `(b, h, c, 1)`.
        """
        wide = torch.promote_types(q.dtype, torch.float32)
        slots, following = [], []
        for x, control, past in zip((k, v), (self.key_slots, self.value_slots), state or (None, None), strict=True):
            logit = (x.to(wide) @ control.to(wide)).mT  # b h c 1
            total = logit if past is None else torch.logaddexp(past[1], logit)
            own = (logit - total).exp() * x.to(wide)
            summed = own if past is None else own + (past[1] - total).exp() * past[0]
            slots.append(own if self.variant == "released" else summed)
            following.append((summed, total))
        weights = (q.to(wide) @ slots[0].mT * q.shape[-1] ** -0.5).softmax(-1)
        return (weights @ slots[1]).to(q.dtype), tuple(following)

    @classmethod
    def parameter_count(
        cls, *, width: int, heads: int, length: int, bias: bool = True, slots: int = 16, **options: Any
    ) -> int:
        """4 (w² + w) + 2 d c."""
        maps = super().parameter_count(width=width, heads=heads, length=length, bias=bias)
        return maps + 2 * (width // heads) * slots

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, slots: int = 16, **options: Any) -> int:
        """2 c (2 m + n) (d + e) per head.

        This does not include the triangles inside the chunks of causal self attention, 2 n chunk (d + e + 4 c).
        """
        return 2 * heads * slots * (2 * m + n) * (d + e)

    @classmethod
    def score_entries(cls, *, heads: int, n: int, m: int, slots: int = 16, **options: Any) -> int:
        """c m weights of keys, c m of values and c n of queries."""
        return heads * slots * (2 * m + n)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, slots={self.slots}, variant={self.variant}"
