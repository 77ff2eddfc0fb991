"""LARA, linear randomized attention: one proposal per landmark, importance weights by softmax.

    μ_c = q̃_c + k̃_c        ω_c = μ_c + ε_c        log ξ(x, ω) = (ω · x − ‖x‖² / 2) / √d
    s_c = Σ_j softmax_j(log ξ(k_j, ω_c)) v_j
    out_i = Σ_c softmax_c( μ_c · q_i / √d + log ξ(q_i, ω_c) + log Σ_j ξ(k_j, ω_c) − log ξ(μ_c, ω_c) ) s_c

q̃ and k̃ are segment means over the real tokens (`common.landmarks`); ε is standard normal in training and 0 in
evaluation. Zheng et al., "Linear Complexity Randomized Self-attention Mechanism", 2022, in the form of CAB's library,
with the mask also applied to the landmarks and to the log-sum over keys, where the library leaves it out. Time O(n c (d
+ e)), memory O(n c).
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from regard.attention import Attention, Call
from regard.common.autocast import disable_autocast
from regard.common.checks import check_count, check_heads, check_tensor
from regard.common.landmarks import segment_means
from regard.common.patterns import Pattern
from regard.registry import mechanism


def naive_lara(
    q: Tensor, k: Tensor, v: Tensor, *, landmarks: int, noise: Tensor | None = None, key_mask: Tensor | None = None
) -> Tensor:
    """The definition, one row and one landmark at a time, on the real tokens alone. Arguments as `lara`."""
    out = []
    for row in range(q.shape[0]):
        kept = slice(None) if key_mask is None else key_mask[row].nonzero()[:, 0]
        queries, keys, values = q[row][:, kept], k[row][:, kept], v[row][:, kept]  # h L ·
        length, root = queries.shape[1], math.sqrt(q.shape[-1])
        short = length // landmarks
        sizes = [short + (c >= (short + 1) * landmarks - length) for c in range(landmarks)]
        logits, summaries = [], []
        for c in range(landmarks):
            if sizes[c] == 0:
                continue
            segment = slice(sum(sizes[:c]), sum(sizes[: c + 1]))
            mu = (queries[:, segment].mean(1) + keys[:, segment].mean(1))[:, :, None]  # h d 1
            omega = mu if noise is None else mu + noise.expand(q.shape[0], -1, -1, -1)[row, :, c, :, None]
            log_keys = (keys @ omega - keys.square().sum(-1, keepdim=True) / 2) / root  # h L 1
            log_queries = (queries @ omega - queries.square().sum(-1, keepdim=True) / 2) / root
            log_mu = (mu.mT @ omega - mu.square().sum(1, keepdim=True) / 2) / root  # h 1 1
            logits.append(queries @ mu / root + log_queries + log_keys.logsumexp(1, keepdim=True) - log_mu)
            summaries.append((log_keys.softmax(1) * values).sum(1))
        result = torch.zeros_like(q[row, :, :, :1]).expand(-1, -1, v.shape[-1]).clone()
        if summaries:
            real = torch.cat(logits, -1).softmax(-1) @ torch.stack(summaries, 1)
            result[:, kept] = real
        out.append(result)
    return torch.stack(out) if out else q[..., :1].expand(*q.shape[:3], v.shape[-1])


@disable_autocast
def lara(
    q: Tensor, k: Tensor, v: Tensor, *, landmarks: int, noise: Tensor | None = None, key_mask: Tensor | None = None
) -> Tensor:
    """LARA on split heads, self attention only (Zheng et al. 2022).

    Args:
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, n, d)`.
        v: Values `(b, h, n, e)`.
        landmarks: Number of proposals c, at least 1.
        noise: ε, `(b, h, landmarks, d)` or `(1, h, landmarks, d)`. Default: None, 0.
        key_mask: `(b, n)`, boolean, True = keep; drops keys and queries alike, as in self attention. Default: None, all
            tokens.

    Returns:
        `(b, h, n, e)`; masked rows are 0.

    Raises:
        ValueError: Shapes, devices or options that do not fit; the message has the numbers.
        TypeError: Arguments of the wrong type.
    """
    check_heads(q, k, v, key_mask=key_mask, self_attention=True)
    check_count(landmarks, 1, "landmarks")
    b, h, _, d = q.shape
    if noise is not None:
        check_tensor(noise, "noise", q.device)
        if noise.shape[:1] not in ((1,), (b,)) or noise.shape[1:] != (h, landmarks, d):
            wanted = f"(b = {b} or 1, h = {h}, landmarks = {landmarks}, d = {d})"
            raise ValueError(f"noise must be {wanted}, got {tuple(noise.shape)}")
    if key_mask is not None:
        q, k, v = (x.masked_fill(~key_mask[:, None, :, None], 0) for x in (q, k, v))
    wide = torch.promote_types(q.dtype, torch.float32)
    q, k = q.to(wide), k.to(wide)
    means, present = segment_means(torch.cat((q, k), -1), landmarks, key_mask)
    mu = means[..., :d] + means[..., d:]  # b h c d
    omega = mu if noise is None else mu + noise
    # Finite: where nothing is real, values of 0 meet equal weights, and no gradient is NaN.
    lowest = torch.finfo(wide).min
    log_keys = (k @ omega.mT - k.square().sum(-1, keepdim=True) / 2) / math.sqrt(d)  # b h n c
    if key_mask is not None:
        log_keys = log_keys.masked_fill(~key_mask[:, None, :, None], lowest)
    total = log_keys.logsumexp(2, keepdim=True)  # b h 1 c
    summaries = (log_keys - total).exp().to(v.dtype).mT @ v  # b h c e
    log_mu = (mu * (omega - mu / 2)).sum(-1)[:, :, None] / math.sqrt(d)
    # ‖q_i‖² is the same for every c and leaves the softmax, so that one product serves μ · q_i and log ξ(q_i, ω_c).
    logits = q @ (mu + omega).mT / math.sqrt(d) + total - log_mu
    weights = logits.masked_fill(~present[:, None, None, :], lowest).softmax(-1)
    out = weights.to(v.dtype) @ summaries
    return out if key_mask is None else out.masked_fill(~key_mask[:, None, :, None], 0)


@mechanism("lara", patterns=("noncausal_self",), paper="Zheng et al. 2022, as in CAB (Zhang et al. 2023)")
class LaraAttention(Attention):
    """LARA with segment-mean proposals; no parameters beyond the four projections. Training draws ε anew in every call.

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        landmarks: Number of proposals. Default: 16.
        pattern: One of the class's `patterns`. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.

    Raises:
        ValueError: Impossible sizes or options.
        TypeError: Options of the wrong type.
    """

    function_options: ClassVar[Mapping[str, Any]] = {"landmarks": 16}
    example: ClassVar[Mapping[str, Any]] = {"landmarks": 4}

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        landmarks: int = 16,
        pattern: Pattern = "noncausal_self",
        bias: bool = True,
    ) -> None:
        check_count(landmarks, 1, "landmarks")
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        self.landmarks = landmarks

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        noise = None
        if self.training:
            noise = torch.randn(*q.shape[:2], self.landmarks, q.shape[-1], dtype=q.dtype, device=q.device)
        return lara(q, k, v, landmarks=self.landmarks, noise=noise, key_mask=key_mask)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return naive_lara(q, k, v, landmarks=self.landmarks, key_mask=key_mask)

    @classmethod
    def attend(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        return lara(call.rescaled(q), k, v, landmarks=call.options["landmarks"], key_mask=call.key_mask)

    @property
    def draws_each_call(self) -> bool:
        return self.training

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, landmarks: int = 16, **options: Any) -> int:
        """2 n c (4 d + 2 e) per head: two segment means, keys and queries against the proposals, summaries, output."""
        return 2 * heads * landmarks * n * (4 * d + 2 * e)

    @classmethod
    def score_entries(cls, *, heads: int, n: int, m: int, landmarks: int = 16, **options: Any) -> int:
        """n c weights of keys and n c of queries."""
        return heads * landmarks * (n + m)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, landmarks={self.landmarks}"
