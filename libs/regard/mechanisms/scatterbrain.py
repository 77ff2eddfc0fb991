"""Scatterbrain: exact scores inside a window, positive random features everywhere else, and one softmax over both.

    a_ij = exp(q_i · k_j / √d)  for j ∈ W(i),   φ(q_i) · φ(k_j)  for every other j        out_i = Σ_j a_ij v_j / Σ_j a_ij
    φ(x) = f^(-1/2) exp(W x̂ − ‖x̂‖² / 2)        x̂ = x d^(-1/4)        W(i) = [i − window, i + window]
    causal: j ≤ i and W(i) = [i − window + 1, i]

This is the low-rank φ(Q) φ(K)ᵀ plus the sparse exp(Q Kᵀ / √d) − φ(Q) φ(K)ᵀ on the support W: each part leaves out what
the other covers. E φ(q) · φ(k) = exp(q · k / √d), so that every a_ij is unbiased, and those on the support have no
variance. Chen et al., "Scatterbrain: Unifying Sparse and Low-rank Attention", 2021, section 4.1, with Performer's
features (`regard.mechanisms.performer`, without its ε, which would bias them). The paper finds the support by a
locality-sensitive hash, and its released code also has local supports; here it is the window of
`regard.mechanisms.local`.

Nothing is subtracted: the features of keys before the window are summed up to i − window − 1, as a prefix sum of keys
that are shifted by so many places, and those after it likewise from the other end. Each of the three parts is
normalised by itself, and they are merged by the logarithms of their sums. Time O(n (window + f) (d + e)), memory O(n
(window + f + e)).
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.attention import Attention, Call
from regard.common.autocast import disable_autocast
from regard.common.checks import check_count, check_flag, check_heads, check_tensor
from regard.common.derivatives import can_branch
from regard.common.nonfinite import zero_nonfinite, zero_nonfinite_causal
from regard.common.patterns import Pattern, is_causal, zero_masked
from regard.common.prefix_sum import prefix_sum
from regard.mechanisms.performer.projection import feature_exponents, orthogonal_projection, seeded_projection
from regard.registry import mechanism

LEAST = torch.finfo(torch.float32).tiny ** 0.5  # below it a sum in float32 may have lost terms that count


def naive_scatterbrain(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    projection: Tensor,
    window: int,
    causal: bool = False,
    key_mask: Tensor | None = None,
) -> Tensor:
    """The definition, with its n × n matrix in full. Arguments as `scatterbrain`."""
    place = torch.arange(q.shape[2], device=q.device)
    ahead = place - place[:, None]  # j − i
    supported = (ahead > -window) & (ahead <= 0) if causal else ahead.abs() <= window
    seen = (ahead <= 0 if causal else torch.ones_like(supported))[None, None]
    if key_mask is not None:
        seen = seen & key_mask[:, None, None, :]
    k, v = zero_masked(k, key_mask), zero_masked(v, key_mask)
    log_q, log_k = log_features(q, projection), log_features(k, projection)
    estimates = (log_q[:, :, :, None] + log_k[:, :, None]).logsumexp(-1)  # log φ(q_i) · φ(k_j)
    logits = torch.where(supported, q.shape[-1] ** -0.5 * (q @ k.mT), estimates)
    return logits.masked_fill(~seen, torch.finfo(logits.dtype).min).softmax(-1).masked_fill(~seen, 0) @ v


def log_features(x: Tensor, projection: Tensor) -> Tensor:
    """log φ(x): x `(b, h, n, d)`, `projection` `(f, d)` or `(h, f, d)` -> `(b, h, n, f)`."""
    along, half = feature_exponents(x, projection)
    return along - half - math.log(projection.shape[-2]) / 2


@disable_autocast
def scatterbrain(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    projection: Tensor,
    window: int,
    causal: bool = False,
    key_mask: Tensor | None = None,
) -> Tensor:
    """Scatterbrain on split heads, self attention only (Chen et al. 2021, section 4.1). Half precision is summed in float32.

    Args:
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, n, d)`.
        v: Values `(b, h, n, e)`.
        projection: W, `(f, d)` or `(h, f, d)`; `regard.mechanisms.performer.orthogonal_projection` draws one.
        window: Keys with exact scores, on each side of the query; if causal, the last keys including the query's own.
            At least 1.
        causal: Must query i not see keys j > i? Default: False.
        key_mask: `(b, n)`, boolean, True = keep. Default: None, all keys.

    Returns:
        `(b, h, n, e)`; a query that may see no key gets 0.

    Raises:
        ValueError: Shapes, devices or options that do not fit; the message has the numbers.
        TypeError: Arguments of the wrong type.
    """
    check_heads(q, k, v, key_mask=key_mask, self_attention=True)
    check_flag(causal, "causal")
    check_count(window, 1, "window")
    check_tensor(projection, "projection", q.device)
    h, d, shape = q.shape[1], q.shape[3], tuple(projection.shape)
    if shape[:-2] not in ((), (h,)) or shape[-1:] != (d,) or 0 in shape or len(shape) == 1:
        raise ValueError(f"projection must be (features, d = {d}) or (h = {h}, features, d = {d}), got {shape}")
    if q.numel() == 0:
        return v.new_zeros(v.shape)
    wide = torch.promote_types(v.dtype, torch.float32)
    k, v = zero_masked(k, key_mask), zero_masked(v, key_mask)
    if causal:
        k, v, poisoned = zero_nonfinite_causal(k, v)
    else:
        (k, bad_k), (v, bad_v) = zero_nonfinite(k), zero_nonfinite(v)
        poisoned = (bad_k.any(-1, keepdim=True) | bad_v).any(2, keepdim=True)
    given: tuple[Any, ...] = (window, causal, key_mask)
    out, exact = _merged(q.to(wide), k.to(wide), v.to(wide), projection.to(wide), *given)
    # Where a sum is tiny compared with its largest possible term, float64 is needed to represent it.
    if wide == torch.float32 and can_branch() and not bool(exact):
        out, _ = _merged(q.double(), k.double(), v.double(), projection.double(), *given)
    return out.to(v.dtype).masked_fill(poisoned, torch.nan)


class Mean(NamedTuple):
    """A weighted mean of values `(b, h, n, e)` and the logarithm of its weights' sum `(b, h, n, 1)`, the lowest number for none.

    `exact` is False where the sum is so small that terms may have been lost.
    """

    mean: Tensor
    log_sum: Tensor
    exact: Tensor | None = None


def _merged(
    q: Tensor, k: Tensor, v: Tensor, W: Tensor, window: int, causal: bool, key_mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The result `(b, h, n, e)`, and whether every sum was large enough, `()`."""
    before, after = (window - 1, 0) if causal else (window, window)
    log_q, log_k = log_features(q, W), log_features(k, W)
    if key_mask is not None:
        log_k = log_k.masked_fill(~key_mask[:, None, :, None], -torch.inf)
    # Computed for each key and each query separately: no row depends on another's size, least of all on the future's.
    top_q, top_k = (x.detach().amax(-1).clamp(min=torch.finfo(x.dtype).min) for x in (log_q, log_k))
    phi_q, phi_k = (log_q - top_q[..., None]).exp(), (log_k - top_k[..., None]).exp()
    if key_mask is not None:
        top_k = top_k.masked_fill(~key_mask[:, None], -torch.inf)
    parts = [_inside(q, k, v, before, after, key_mask), _earlier(phi_q, phi_k, v, top_q, top_k, before)]
    if not causal:
        later = _earlier(phi_q.flip(2), phi_k.flip(2), v.flip(2), top_q.flip(2), top_k.flip(2), after)
        parts.append(Mean(later.mean.flip(2), later.log_sum.flip(2), later.exact))
    weights = torch.cat([part.log_sum for part in parts], -1).softmax(-1)
    out = sum(part.mean * weights[..., i : i + 1] for i, part in enumerate(parts))
    assert isinstance(out, Tensor)
    return out, torch.stack([part.exact.all() for part in parts if part.exact is not None]).all()


def _inside(q: Tensor, k: Tensor, v: Tensor, before: int, after: int, key_mask: Tensor | None) -> Mean:
    """Softmax attention to keys i − before … i + after: blocks of queries against the block and its margins."""
    b, n, d = q.shape[0], q.shape[2], q.shape[3]
    block = max(32, before)
    padding = -n % block
    real = torch.ones(1, n, dtype=torch.bool, device=q.device) if key_mask is None else key_mask
    width = before + block + after
    queries = F.pad(q, (0, 0, 0, padding)).unflatten(2, (-1, block))  # type: ignore[no-untyped-call]
    keys, values = (F.pad(x, (0, 0, before, after + padding)).unfold(2, width, block) for x in (k, v))  # b h s · width
    kept = F.pad(real, (before, after + padding)).unfold(1, width, block)  # b s width
    ahead = torch.arange(-before, block + after, device=q.device) - torch.arange(block, device=q.device)[:, None]
    seen = ((ahead >= -before) & (ahead <= after)) & kept[:, None, :, None]
    scores = (d**-0.5 * (queries @ keys)).masked_fill(~seen, torch.finfo(q.dtype).min)
    log_sum = scores.logsumexp(-1, keepdim=True)
    mean = (scores - log_sum).exp().masked_fill(~seen, 0) @ values.mT
    blind = ~seen.any(-1, keepdim=True).expand(b, *log_sum.shape[1:])
    log_sum = log_sum.masked_fill(blind, torch.finfo(q.dtype).min)
    return Mean(mean.flatten(2, 3)[:, :, :n], log_sum.flatten(2, 3)[:, :, :n])


def _earlier(phi_q: Tensor, phi_k: Tensor, v: Tensor, top_q: Tensor, top_k: Tensor, before: int) -> Mean:
    """Linear attention to keys j < i − before, of features `(b, h, n, f)` that were divided by exp(top) `(b, h, n)`.

    A masked key has a `top` of −inf.
    """
    n, lowest = v.shape[2], torch.finfo(v.dtype).min
    shift = min(before + 1, n)
    phi_k, values = (F.pad(x, (0, 0, shift, 0))[:, :, :n] for x in (phi_k, F.pad(v, (0, 1), value=1)))
    top_k = F.pad(top_k, (shift, 0), value=-torch.inf)[:, :, :n]
    summed = prefix_sum(phi_q, phi_k, values, log_weight=top_k)
    total, highest = summed[..., -1:], top_k.cummax(2).values[..., None]
    none = total == 0
    total = total.masked_fill(none, 1)
    log_sum = (total.log() + highest.clamp(min=lowest) + top_q[..., None]).masked_fill(none, lowest)
    exact = ~((summed[..., -1:].detach() < LEAST) & (highest > -torch.inf))
    return Mean(summed[..., :-1] / total, log_sum, exact)


@mechanism("scatterbrain", patterns=("noncausal_self", "causal_self"), paper="Chen et al. 2021")
class ScatterbrainAttention(Attention):
    """Multi-head Scatterbrain with a local window as its support; no parameters beyond the four projections.

    W, one per head, is the buffer `projection`: fixed, and in the state dict; `redraw` draws it anew.

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        window: As in `scatterbrain`. Default: 15, that of `local`.
        features: Random features f per head. Default: 16, those of `performer`.
        generator: Source of W. Default: None, torch's.
        pattern: One of the class's `patterns`. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.

    Raises:
        ValueError: Impossible sizes or options.
        TypeError: Options of the wrong type.
    """

    projection: Tensor
    weighted_mean = True
    stepwise = True
    function_options: ClassVar[Mapping[str, Any]] = {"window": 15, "features": 16}
    bench_options = ("window=32 features=64",)
    example: ClassVar[Mapping[str, Any]] = {"window": 5, "features": 16}

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        window: int = 15,
        features: int = 16,
        generator: torch.Generator | None = None,
        pattern: Pattern = "noncausal_self",
        bias: bool = True,
    ) -> None:
        check_count(window, 1, "window")
        check_count(features, 1, "features")
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        self.window, self.features = window, features
        self.register_buffer("projection", orthogonal_projection(heads, features, width // heads, generator=generator))

    def reset_own(self) -> None:
        self.redraw()

    def redraw(self, generator: torch.Generator | None = None) -> None:
        """Draw W anew, as Performers do from time to time in training."""
        kind: dict[str, Any] = {"device": self.projection.device, "dtype": self.projection.dtype}
        if generator is not None:
            kind["device"] = generator.device
        self.projection.copy_(orthogonal_projection(*self.projection.shape, generator=generator, **kind))

    @classmethod
    def exact(cls, length: int) -> Mapping[str, Any]:
        """A window over everything leaves nothing to the features."""
        return {"window": length}

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        options: dict[str, Any] = {"projection": self.projection, "window": self.window}
        return scatterbrain(q, k, v, causal=self.causal, key_mask=key_mask, **options)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        options: dict[str, Any] = {"projection": self.projection, "window": self.window}
        return naive_scatterbrain(q, k, v, causal=self.causal, key_mask=key_mask, **options)

    def mix_step(
        self, q: Tensor, k: Tensor, v: Tensor, state: tuple[Tensor, Tensor, Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
        """One token; the state is the window's keys and values, and the sums over the keys that have left it.

        Keys and values `(b, h, ≤ window, ·)`; sums `(b, h, f, e + 1)`, relative to the exponential of their largest
        exponent `(b, h, 1, 1)`, and that.
        """
        narrow, wide = v.dtype, torch.float64  # a later query may be far from the key that the sums are relative to
        q, k, v, W = q.to(wide), k.to(wide), v.to(wide), self.projection.to(wide)
        lowest = torch.finfo(wide).min
        if state is None:
            sums = v.new_zeros(*v.shape[:2], self.features, v.shape[3] + 1)
            highest = torch.full_like(v[..., :1], lowest)
        else:
            k, v, sums, highest = torch.cat((state[0], k), 2), torch.cat((state[1], v), 2), state[2], state[3]
        if k.shape[2] > self.window:
            log_k = log_features(k[:, :, :1], W)
            top = torch.maximum(log_k.detach().amax(-1, keepdim=True), highest)
            sums = sums * (highest - top).exp() + (log_k - top).exp().mT @ F.pad(v[:, :, :1], (0, 1), value=1)
            k, v, highest = k[:, :, 1:], v[:, :, 1:], top
        scores = q.shape[-1] ** -0.5 * (q @ k.mT)
        inside = Mean(scores.softmax(-1) @ v, scores.logsumexp(-1, keepdim=True))
        log_q = log_features(q, W)
        top = log_q.detach().amax(-1, keepdim=True)
        summed = (log_q - top).exp() @ sums
        total = summed[..., -1:].masked_fill(summed[..., -1:] == 0, 1)
        log_sum = (total.log() + top + highest.clamp(min=lowest / 2)).masked_fill(summed[..., -1:] == 0, lowest)
        share = torch.sigmoid(inside.log_sum - log_sum)
        out = share * inside.mean + (1 - share) * summed[..., :-1] / total
        return out.to(narrow), (k, v, sums, highest)

    @classmethod
    def attend(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        window, features = call.options["window"], call.options["features"]
        check_count(features, 1, "features")
        projection = seeded_projection(call.seed, q.shape[1], features, q.shape[3]).to(q.device)
        given: dict[str, Any] = {"causal": call.causal, "key_mask": call.key_mask}
        return scatterbrain(call.rescaled(q), k, v, projection=projection, window=window, **given)

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, features: int = 16, **options: Any) -> int:
        """2 (d + e) per exact score, and 2 (n + m) f (d + e + 1) of the features, as in `performer`."""
        inside = cls.score_entries(heads=heads, n=n, m=m, features=0, **options)
        return 2 * inside * (d + e) + 2 * heads * (n + m) * features * (d + e + 1)

    @classmethod
    def score_entries(
        cls,
        *,
        heads: int,
        n: int,
        m: int,
        window: int = 15,
        features: int = 16,
        pattern: Pattern = "noncausal_self",
        **options: Any,
    ) -> int:
        """n (2 window + 1) exact scores per head, n window when causal, at most n m; and (n + m) f features."""
        return heads * (n * min(m, window if is_causal(pattern) else 2 * window + 1) + (n + m) * features)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, window={self.window}, features={self.features}"
