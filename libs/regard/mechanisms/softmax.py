"""Softmax attention, the one that the others are measured against.

    out_i = Σ_j softmax_j(scale · q_i · k_j) v_j        scale = d^(-1/2)

The sum runs over every key, or over j ≤ i when causal self. Vaswani et al., "Attention Is All You Need", 2017, equation
1. Time O(n m (d + e)); memory O(n (d + e)), because the fused kernel never stores the n × m weights.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from regard.attention import Attention, Call
from regard.common.checks import check_heads, check_scale
from regard.common.derivatives import fused_attention
from regard.common.nonfinite import all_finite, row_nan_mark, zero_and_mark_causal
from regard.common.patterns import ALL_PATTERNS, zero_masked
from regard.registry import mechanism


def naive_softmax(
    q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, key_mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """The definition, with its n × m matrix in full. Arguments as `softmax`."""
    seen = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device)
    seen = (seen.tril() if causal else seen)[None, None]
    if key_mask is not None:
        seen = seen & key_mask[:, None, None, :]
        k, v = zero_masked(k, key_mask), zero_masked(v, key_mask)
    scores = (q.shape[-1] ** -0.5 if scale is None else scale) * (q @ k.mT)  # b h n m
    weights = scores.masked_fill(~seen, torch.finfo(scores.dtype).min).softmax(-1)
    return weights.masked_fill(~seen, 0) @ v


def softmax(
    q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, key_mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """Softmax attention on split heads, by the fused kernel of torch (Vaswani et al. 2017, equation 1).

    Args:
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, m, d)`.
        v: Values `(b, h, m, e)`.
        causal: Must query i not see keys j > i? Needs n = m. Default: False.
        key_mask: `(b, m)`, boolean, True = keep. Default: None, all keys.
        scale: Factor of q · k. Default: None, d ** -0.5.

    Returns:
        `(b, h, n, e)`; a query that may see no key gets 0.

    Raises:
        ValueError: Shapes, devices or options that do not fit; the message has the numbers.
        TypeError: Arguments of the wrong type.
    """
    check_heads(q, k, v, key_mask=key_mask, self_attention=causal)
    check_scale(scale)
    k, v = zero_masked(k, key_mask), zero_masked(v, key_mask)
    # torch's CPU kernel gives 0, not NaN, to a query whose scores are NaN.
    mark = None if all_finite(q, k, v) else row_nan_mark(q)
    if mark is not None and causal:
        # Masks are added to the scores, and the NaN of a later key would survive them.
        k, key_mark = zero_and_mark_causal(k)
        v, value_mark = zero_and_mark_causal(v)
        mark = mark + key_mark.sum(-1, keepdim=True) + value_mark
    elif mark is not None:
        mark = mark + row_nan_mark(k).sum(-2, keepdim=True)
    if causal and scale is not None and scale <= 0:
        q, scale = q * scale, 1.0  # torch first hides the future by -inf and then scales: 0 · -inf is NaN
    if key_mask is None:
        return _marked(fused_attention(q, k, v, is_causal=causal, scale=scale), mark)
    seen = key_mask[:, None, None, :]
    if causal:
        seen = seen & torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
    blind = ~seen.any(-1, keepdim=True)  # a row that sees nothing would be NaN: let it see all, then set it to 0
    out = fused_attention(q, k, v, attn_mask=seen | blind, scale=scale)
    return _marked(out, mark).masked_fill(blind, 0)


def _marked(out: Tensor, mark: Tensor | None) -> Tensor:
    """out + mark, or out without one; in place where no gradient needs `out`, because a long result should not be in memory twice."""
    if mark is None:
        return out
    return out + mark if out.requires_grad else out.add_(mark)


@mechanism("softmax", patterns=ALL_PATTERNS, paper="Vaswani et al. 2017")
class SoftmaxAttention(Attention):
    """Standard multi-head attention; no parameters beyond the four projections.

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        pattern: One of the class's `patterns`. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.

    Raises:
        ValueError: Impossible sizes or options.
        TypeError: Options of the wrong type.
    """

    weighted_mean = True
    stepwise = True
    function_options: ClassVar[Mapping[str, Any]] = {}
    function_takes = ("window", "dense")

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return softmax(q, k, v, causal=self.causal, key_mask=key_mask)

    def mix_step(
        self, q: Tensor, k: Tensor, v: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The state holds all keys and values so far, (b, h, ·, d)."""
        if state is not None:
            k, v = torch.cat((state[0], k), 2), torch.cat((state[1], v), 2)
        return softmax(q, k, v), (k, v)

    @classmethod
    def attend(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        if call.window is None:
            return softmax(q, k, v, causal=call.causal, key_mask=call.key_mask, scale=call.scale)
        return windowed(q, k, v, call)

    @classmethod
    def attend_last(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        """A single last token sees all."""
        if call.window is not None:
            return windowed(q, k, v, call)
        if q.shape[2] == 1:
            return cls.attend(q, k, v, replace(call, causal=False))
        return super().attend_last(q, k, v, call)


def windowed(q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
    """Softmax attention inside a call's window; causal queries are the last n of the m keys. Memory O(n m)."""
    n, m = q.shape[2], k.shape[2]
    assert call.window is not None
    before, after = call.window[0], 0 if call.causal else call.window[1]
    ahead = torch.arange(m, device=q.device) - (m - n if call.causal else 0) - torch.arange(n, device=q.device)[:, None]
    seen = ((ahead >= -before) & (ahead <= after))[None, None]
    if call.key_mask is not None:
        seen = seen & call.key_mask[:, None, None, :]
        k, v = zero_masked(k, call.key_mask), zero_masked(v, call.key_mask)
    blind = ~seen.any(-1, keepdim=True)
    out = fused_attention(q, k, v, attn_mask=seen | blind, scale=call.scale)
    return out.masked_fill(blind, 0)
