"""Performer: the function on split heads and the layer. Formula and source: `regard.mechanisms.performer`."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.attention import Attention, Call
from regard.common.autocast import disable_autocast
from regard.common.checks import VARIANTS, Variant, check_choice, check_count, check_heads, check_number, check_tensor
from regard.common.patterns import ALL_PATTERNS, Pattern, zero_masked
from regard.common.threads import holds_numbers
from regard.mechanisms.performer.chunk import chunk_performer
from regard.mechanisms.performer.heads import mixed, mixed_by_heads
from regard.mechanisms.performer.naive import naive_performer
from regard.mechanisms.performer.projection import feature_exponents, orthogonal_projection, seeded_projection
from regard.registry import mechanism


@disable_autocast
def performer(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    projection: Tensor,
    causal: bool = False,
    key_mask: Tensor | None = None,
    epsilon: float | None = None,
    variant: Variant = "paper",
) -> Tensor:
    """Performer attention on split heads (Choromanski et al. 2021, equation 5). Half precision is summed in float32.

    Args:
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, m, d)`.
        v: Values `(b, h, m, e)`.
        projection: W, `(f, d)` or `(h, f, d)`; `orthogonal_projection` draws one.
        causal: Must query i not see keys j > i? Needs n = m. Default: False.
        key_mask: `(b, m)`, boolean, True = keep. Default: None, all keys.
        epsilon: ε, at least 0. Default: None, 1e-4, or 0 if causal, where no other value is possible.
        variant: "paper", or "released" for CAB's code, with its floor of 0.1 under the denominator; noncausal only.
            Default: "paper".

    Returns:
        `(b, h, n, e)`; a query that may see no key gets 0.

    Raises:
        ValueError: Shapes, devices or options that do not fit; the message has the numbers.
        TypeError: Arguments of the wrong type.
    """
    check_heads(q, k, v, key_mask=key_mask, self_attention=causal)
    check_choice(variant, VARIANTS, "variant")
    check_tensor(projection, "projection", q.device)
    (b, h, n, d), (m, e) = q.shape, v.shape[2:]
    shape = tuple(projection.shape)
    if shape[:-2] not in ((), (h,)) or shape[-1:] != (d,) or 0 in shape or len(shape) == 1:
        raise ValueError(f"projection must be (features, d = {d}) or (h = {h}, features, d = {d}), got {shape}")
    epsilon = check_epsilon(epsilon, causal)
    if causal and variant == "released":
        raise ValueError("the released Performer has no causal form")
    if 0 in (n, m):
        return v.new_zeros(b, h, n, e)
    if causal:
        return chunk_performer(q, k, v, projection=projection, key_mask=key_mask)
    wide = torch.promote_types(v.dtype, torch.float32)
    floor = 0.1 * shape[-2] if variant == "released" else 0.0  # φ here is without its f^(-1/2)
    W = (projection.to(wide) * d**-0.25).expand(b, h, -1, -1)
    k, v = zero_masked(k, key_mask), zero_masked(v, key_mask)
    if holds_numbers(q, k, v, projection):
        return mixed_by_heads(q, k, v, W, key_mask, epsilon, floor)
    return mixed(q.to(wide), k.to(wide), v.to(wide), W, key_mask, epsilon, floor).to(v.dtype)


def check_epsilon(epsilon: float | None, causal: bool) -> float:
    """ε, or its default: raises ValueError or TypeError for an impossible value."""
    epsilon = (0.0 if causal else 1e-4) if epsilon is None else epsilon
    check_number(epsilon, "epsilon")
    if epsilon < 0:
        raise ValueError(f"epsilon must be at least 0, got {epsilon}")
    if causal and epsilon:
        raise ValueError(f"causal Performer needs epsilon = 0, got {epsilon}: any other would let it see the future")
    return epsilon


@mechanism("performer", patterns=ALL_PATTERNS, paper="Choromanski et al. 2021, as in CAB (Zhang et al. 2023)")
class PerformerAttention(Attention):
    """Multi-head Performer.

    W, one per head, is the buffer `projection`: fixed, and in the state dict; `redraw` draws it anew.

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        features: Random features f per head. Default: 16, CAB's.
        epsilon: As in `performer`. Default: None.
        generator: Source of W. Default: None, torch's.
        variant: "paper", or "released" for CAB's code, as in `performer`. Default: "paper".
        pattern: One of the class's `patterns`. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.

    Raises:
        ValueError: Impossible sizes or options.
        TypeError: Options of the wrong type.
    """

    projection: Tensor
    stepwise = True
    function_options: ClassVar[Mapping[str, Any]] = {"features": 16}
    bench_options = ("features=64",)
    example: ClassVar[Mapping[str, Any]] = {"features": 16}

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        features: int = 16,  # CAB's
        epsilon: float | None = None,
        generator: torch.Generator | None = None,
        variant: Variant = "paper",
        pattern: Pattern = "noncausal_self",
        bias: bool = True,
    ) -> None:
        check_count(features, 1, "features")
        check_choice(variant, VARIANTS, "variant")
        check_epsilon(epsilon, pattern == "causal_self")
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        self.features, self.epsilon, self.variant = features, epsilon, variant
        self.register_buffer("projection", orthogonal_projection(heads, features, width // heads, generator=generator))

    def reset_own(self) -> None:
        self.redraw()

    def redraw(self, generator: torch.Generator | None = None) -> None:
        """Draw W anew, as Performers do from time to time in training."""
        kind: dict[str, Any] = {"device": self.projection.device, "dtype": self.projection.dtype}
        if generator is not None:
            kind["device"] = generator.device
        self.projection.copy_(orthogonal_projection(*self.projection.shape, generator=generator, **kind))

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        options: dict[str, Any] = {"projection": self.projection, "epsilon": self.epsilon, "variant": self.variant}
        return performer(q, k, v, causal=self.causal, key_mask=key_mask, **options)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        options: dict[str, Any] = {"projection": self.projection, "epsilon": self.epsilon}
        return naive_performer(q, k, v, causal=self.causal, key_mask=key_mask, **options)

    def mix_step(
        self, q: Tensor, k: Tensor, v: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One token; the state is the sums, relative to the exponential of their largest exponent, and that exponent.

        Their shapes are `(b, h, f, e + 1)` and `(b, h, 1, 1)`.
        """
        narrow, wide = v.dtype, torch.float64  # a later query may be far from the key that the sums are relative to
        v = F.pad(v.to(wide), (0, 1), value=1)
        (along_q, half_q), (along_k, half_k) = (feature_exponents(x.to(wide), self.projection.to(wide)) for x in (q, k))
        log_q, log_k = along_q - half_q, along_k - half_k
        top = log_k.detach().amax(-1, keepdim=True)
        if state is None:
            sums, highest = (log_k - top).exp().mT @ v, top
        else:
            highest = torch.maximum(top, state[1])
            sums = state[0] * (state[1] - highest).exp() + (log_k - highest).exp().mT @ v
        summed = (log_q - log_q.amax(-1, keepdim=True)).exp() @ sums
        total = summed[..., -1:]
        return (summed[..., :-1] / total.masked_fill(total == 0, 1)).to(narrow), (sums, highest)

    @classmethod
    def attend(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        given: dict[str, Any] = {"causal": call.causal, "key_mask": call.key_mask}
        return performer(call.rescaled(q), k, v, projection=cls.projection_of(q, call), **given)

    @classmethod
    def attend_last(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        """A single last token sees all keys: sums over them, and no running ones."""
        if q.shape[2] > 1:
            return super().attend_last(q, k, v, call)
        given: dict[str, Any] = {"key_mask": call.key_mask, "epsilon": 0.0}  # 0 is what the causal form has
        return performer(call.rescaled(q), k, v, projection=cls.projection_of(q, call), **given)

    @classmethod
    def projection_of(cls, q: Tensor, call: Call) -> Tensor:
        """W of a call, `(h, f, d)`."""
        features = call.options["features"]
        check_count(features, 1, "features")
        return seeded_projection(call.seed, q.shape[1], features, q.shape[3]).to(q.device)

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, features: int = 16, **options: Any) -> int:
        """2 (n + m) f (d + e + 1) per head: features, sums, outputs, the denominator next to the values.

        Causal form: the same definition.
        """
        return 2 * heads * (n + m) * features * (d + e + 1)

    @classmethod
    def score_entries(cls, *, heads: int, n: int, m: int, features: int = 16, **options: Any) -> int:
        """The features: (n + m) f per head."""
        return heads * (n + m) * features

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, features={self.features}, epsilon={self.epsilon}, variant={self.variant}"
