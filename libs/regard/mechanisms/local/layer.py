"""Local attention: the function on split heads and the layer. Formula and source: `regard.mechanisms.local`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from regard.attention import Attention, Call
from regard.common.checks import VARIANTS, Variant, check_choice, check_count, check_flag, check_heads, check_scale
from regard.common.nonfinite import any_in_window, zero_nonfinite
from regard.common.patterns import Pattern, is_causal, zero_masked
from regard.common.threads import holds_numbers
from regard.mechanisms.local.bands import bands
from regard.mechanisms.local.blocks import blocks
from regard.mechanisms.local.naive import naive_local
from regard.mechanisms.softmax import softmax
from regard.registry import mechanism


def local(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    window: int,
    causal: bool = False,
    key_mask: Tensor | None = None,
    scale: float | None = None,
    variant: Variant = "paper",
) -> Tensor:
    """Local attention on split heads, self attention only (CAB, Zhang et al. 2023, after Luong et al. 2015).

    Args:
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, n, d)`.
        v: Values `(b, h, n, e)`.
        window: Keys on each side of the query; if causal, the last keys including the query's own. At least 1.
        causal: Must query i not see keys j > i? Needs n = m. Default: False.
        key_mask: `(b, n)`, boolean, True = keep. Default: None, all keys.
        scale: Factor of q · k. Default: None, d ** -0.5.
        variant: "paper", or "released" for CAB's code, which with a mask leaves out only keys that are
            outside the sequence *and* padded. Default: "paper".

    Returns:
        `(b, h, n, e)`; a query that may see no key gets 0.

    Raises:
        ValueError: Shapes, devices or options that do not fit; the message has the numbers.
        TypeError: Arguments of the wrong type.
    """
    check_heads(q, k, v, key_mask=key_mask, self_attention=True)
    check_count(window, 1, "window")
    check_flag(causal, "causal")
    check_choice(variant, VARIANTS, "variant")
    check_scale(scale)
    before, after = (window - 1, 0) if causal else (window, window)
    if variant == "released" and key_mask is not None:
        return _released(q, k, v, before, after, key_mask, scale)
    if before >= q.shape[2] - 1 or q.numel() == 0:
        return softmax(q, k, v, causal=causal, key_mask=key_mask, scale=scale)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    numbers = holds_numbers(q, k, v)
    out = bands(q, k, v, before, after, key_mask, scale) if numbers else None
    if out is not None:
        return out
    (k, bad_k), (v, bad_v) = zero_nonfinite(zero_masked(k, key_mask)), zero_nonfinite(zero_masked(v, key_mask))
    bad = any_in_window(bad_k.any(-1, keepdim=True) | bad_v, before, after) | ~q.isfinite().all(-1, keepdim=True)
    out = bands(q.nan_to_num(0.0, 0.0, 0.0), k, v, before, after, key_mask, scale) if numbers else None
    if out is None:
        out = blocks(q, k, v, before, after, key_mask, scale)
    return out.masked_fill(bad, torch.nan)


def _released(
    q: Tensor, k: Tensor, v: Tensor, before: int, after: int, key_mask: Tensor, scale: float | None
) -> Tensor:
    """CAB's code with a mask.

    Places outside repeat the edge key, and a place is left out only if it is outside and that key is padded.
    """
    n = q.shape[2]
    place = torch.arange(n, device=q.device)[:, None] + torch.arange(-before, after + 1, device=q.device)  # n window
    nearest = place.clamp(0, n - 1)
    dropped = (place != nearest) & ~key_mask[:, nearest]  # b n window
    scores = (q[:, :, :, None] @ k[:, :, nearest].mT)[:, :, :, 0] * (q.shape[-1] ** -0.5 if scale is None else scale)
    weights = scores.masked_fill(dropped[:, None], torch.finfo(scores.dtype).min).softmax(-1)
    return (weights[:, :, :, None] @ v[:, :, nearest])[:, :, :, 0]


@mechanism(
    "local", patterns=("noncausal_self", "causal_self"), paper="CAB (Zhang et al. 2023), after Luong et al. 2015"
)
class LocalAttention(Attention):
    """Multi-head local attention; no parameters beyond the four projections.

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        window: As in `local`. Default: 15, CAB's.
        variant: "paper", or "released" for CAB's code, as in `local`. Default: "paper".
        pattern: One of the class's `patterns`. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.

    Raises:
        ValueError: Impossible sizes or options.
        TypeError: Options of the wrong type.
    """

    weighted_mean = True
    stepwise = True
    function_options: ClassVar[Mapping[str, Any]] = {"window": 15}
    function_takes = ("window",)
    example: ClassVar[Mapping[str, Any]] = {"window": 5}

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        window: int = 15,  # CAB's
        variant: Variant = "paper",
        pattern: Pattern = "noncausal_self",
        bias: bool = True,
    ) -> None:
        check_count(window, 1, "window")
        check_choice(variant, VARIANTS, "variant")
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        self.window, self.variant = window, variant

    @classmethod
    def exact(cls, length: int) -> Mapping[str, Any]:
        return {"window": length}

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return local(q, k, v, window=self.window, causal=self.causal, key_mask=key_mask, variant=self.variant)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return naive_local(q, k, v, window=self.window, causal=self.causal, key_mask=key_mask)

    def mix_step(
        self, q: Tensor, k: Tensor, v: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The state holds the last `window` keys and values, (b, h, ≤ window, ·)."""
        if state is not None:
            first = max(0, state[0].shape[2] + 1 - self.window)
            k, v = torch.cat((state[0][:, :, first:], k), 2), torch.cat((state[1][:, :, first:], v), 2)
        return softmax(q, k, v), (k, v)

    @classmethod
    def attend(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        given: dict[str, Any] = {"causal": call.causal, "key_mask": call.key_mask, "scale": call.scale}
        return local(q, k, v, window=cls.window_of(call), **given)

    @classmethod
    def attend_last(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        """The last n of m tokens see no key before the first one's window; a single token sees its whole window."""
        window, n = cls.window_of(call), q.shape[2]
        first = max(0, k.shape[2] - (n + window - 1))
        k, v = k[:, :, first:], v[:, :, first:]
        key_mask = None if call.key_mask is None else call.key_mask[:, first:]
        if n == 1:
            return softmax(q, k, v, key_mask=key_mask, scale=call.scale)
        return super().attend_last(q, k, v, replace(call, key_mask=key_mask))

    @classmethod
    def window_of(cls, call: Call) -> int:
        """The narrower of the mechanism's own window and the call's."""
        window: int = call.options["window"]
        check_count(window, 1, "window")
        if call.window is None:
            return window
        before, after = call.window
        if not call.causal and before != after:
            raise ValueError(
                f"local attention sees as far ahead as back, the call asks for {before} back and {after} ahead"
            )
        return min(window, before + 1 if call.causal else before)

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, **options: Any) -> int:
        """2 (d + e) per score entry: what the definition asks for, the edges of the sequence included."""
        return 2 * (d + e) * cls.score_entries(heads=heads, n=n, m=m, **options)

    @classmethod
    def score_entries(
        cls, *, heads: int, n: int, m: int, window: int = 15, pattern: Pattern = "noncausal_self", **options: Any
    ) -> int:
        """n (2 window + 1) per head, n window when causal; at most n m."""
        return heads * n * min(m, window if is_causal(pattern) else 2 * window + 1)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, window={self.window}, variant={self.variant}"
