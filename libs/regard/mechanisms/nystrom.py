"""Nyströmformer: the softmax matrix from its columns and rows at landmarks.

    out = F A⁺ (G V)        F = softmax(s Q K̃ᵀ)        A = softmax(s Q̃ K̃ᵀ)        G = softmax(s Q̃ Kᵀ)        s = d^(-1/2)
    A⁺: Z ← ¼ Z (13 I − A Z (15 I − A Z (7 I − A Z))), from Z₀ = Aᵀ / (‖A‖₁ ‖A‖∞) of each (batch, head)

Q̃ and K̃ are segment means over each row's real tokens (`regard.common.landmarks`). Xiong et al., "Nyströmformer",
2021, equations 13 to 15, with CAB's segments; a row with at most `landmarks` tokens has softmax attention. After six
iterations most A have not converged, so the number of iterations is part of the definition. Time O(n c (d + e) + c³),
memory O(n (d + e)): F and G live inside fused attention.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from regard.attention import Attention, Call
from regard.common.autocast import disable_autocast
from regard.common.checks import VARIANTS, Variant, check_choice, check_count, check_heads, check_scale
from regard.common.landmarks import segment_means
from regard.common.nonfinite import zero_nonfinite
from regard.common.patterns import Pattern, zero_masked
from regard.mechanisms.softmax import naive_softmax, softmax
from regard.registry import mechanism


def naive_nystrom(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    landmarks: int,
    iterations: int = 6,
    key_mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """The definition, row by row on the real tokens alone. Arguments as `nystrom`."""
    s = q.shape[-1] ** -0.5 if scale is None else scale
    outs = []
    for row in range(q.shape[0]):
        real = slice(None) if key_mask is None else key_mask[row].nonzero()[:, 0]
        queries, keys, values = q[row][:, real], k[row][:, real], v[row][:, real]  # h length ·
        length = queries.shape[1]
        if length <= landmarks:
            mixed = naive_softmax(queries[None], keys[None], values[None], scale=s)[0]
        else:
            short = length // landmarks
            sizes = [short + (c >= (short + 1) * landmarks - length) for c in range(landmarks)]
            q_mean = torch.stack([part.mean(1) for part in torch.split(queries, sizes, 1)], 1)
            k_mean = torch.stack([part.mean(1) for part in torch.split(keys, sizes, 1)], 1)
            F, A, G = ((s * (x @ y.mT)).softmax(-1) for x, y in ((queries, k_mean), (q_mean, k_mean), (q_mean, keys)))
            Z = A.mT / (A.sum(1).amax(-1) * A.sum(2).amax(-1))[:, None, None]
            eye = torch.eye(landmarks, dtype=A.dtype, device=A.device)
            for _ in range(iterations):
                Z = Z @ (13 * eye - A @ Z @ (15 * eye - A @ Z @ (7 * eye - A @ Z))) / 4
            mixed = F @ Z @ (G @ values)
        out = torch.zeros_like(v[row])
        out[:, real] = mixed
        outs.append(out)
    return torch.stack(outs) if outs else v


@disable_autocast
def nystrom(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    landmarks: int,
    iterations: int = 6,
    key_mask: Tensor | None = None,
    scale: float | None = None,
    variant: Variant = "paper",
) -> Tensor:
    """Nyström attention on split heads (Xiong et al. 2021, equations 13 to 15).

    Self attention only, because queries are pooled.

    Args:
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, n, d)`.
        v: Values `(b, h, n, e)`.
        landmarks: Number of landmarks c, at least 1.
        iterations: Steps towards the pseudo-inverse, at least 0. Default: 6, the paper's.
        key_mask: `(b, n)`, boolean, True = keep; drops keys and queries alike, as in self attention. Default: None, all
            tokens.
        scale: Factor of q · k. Default: None, d ** -0.5.
        variant: "paper", or "released" for CAB's code: scale 1/d, and Z₀ from one maximum over the whole batch, so that
            rows depend on their neighbours. Default: "paper".

    Returns:
        `(b, h, n, e)`; masked rows are 0.

    Raises:
        ValueError: Shapes, devices or options that do not fit; the message has the numbers.
        TypeError: Arguments of the wrong type.
    """
    check_heads(q, k, v, key_mask=key_mask, self_attention=True)
    check_count(landmarks, 1, "landmarks")
    check_count(iterations, 0, "iterations")
    check_choice(variant, VARIANTS, "variant")
    check_scale(scale)
    q, k, v = (zero_masked(x, key_mask) for x in (q, k, v))
    if scale is None:
        scale = q.shape[-1] ** (-1.0 if variant == "released" else -0.5)
    if q.shape[2] <= landmarks or q.numel() == 0:
        out = softmax(q, k, v, key_mask=key_mask, scale=scale)
    else:
        wide = torch.promote_types(v.dtype, torch.float32)  # A⁺ magnifies what half precision would round off
        q, k, values = q.to(wide), k.to(wide), v.to(wide)
        q_mean, _ = segment_means(q, landmarks, key_mask)  # b h c d
        k_mean, present = segment_means(k, landmarks, key_mask)
        A = (scale * (q_mean @ k_mean.mT)).softmax(-1)
        summaries = softmax(q_mean, k, values, key_mask=key_mask, scale=scale)  # G V: b h c e
        middle = _inverse(A, iterations, variant) @ summaries
        if key_mask is not None:  # of few tokens each is a segment, K̃ and V̄ are the tokens: F V̄ is softmax attention
            few = (key_mask.sum(1) <= landmarks)[:, None, None, None]
            middle = torch.where(few, segment_means(values, landmarks, key_mask)[0], middle)
        # Fused attention returns 0 for scores that are NaN, but not for such values.
        k_mean, bad = zero_nonfinite(k_mean)
        middle = middle.masked_fill(bad.any(-1).any(-1)[..., None, None], torch.nan)
        out = softmax(q, k_mean, middle, key_mask=None if key_mask is None else present, scale=scale).to(v.dtype)
    return zero_masked(out, key_mask)


def _inverse(A: Tensor, iterations: int, variant: str) -> Tensor:
    """`iterations` steps towards the pseudo-inverse of A (b, h, c, c), whose rows sum to 1: ‖A‖∞ = 1."""
    shape, columns = A.shape, A.sum(-2)
    largest = columns.max() if variant == "released" else columns.amax(-1)[..., None, None]
    Z, A = (A.mT / largest).flatten(0, 1), A.flatten(0, 1)
    eye = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    for _ in range(iterations):
        AZ = A @ Z
        inner = torch.baddbmm(15 * eye, AZ, 7 * eye - AZ, alpha=-1)
        inner = torch.baddbmm(13 * eye, AZ, inner, alpha=-1)
        Z = torch.baddbmm(eye, Z, inner, beta=0, alpha=0.25)
    return Z.view(shape)


@mechanism("nystrom", patterns=("noncausal_self",), paper="Xiong et al. 2021, as in CAB (Zhang et al. 2023)")
class NystromAttention(Attention):
    """Multi-head Nyström attention.

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        landmarks: As in `nystrom`. Default: 16, CAB's.
        iterations: As in `nystrom`. Default: 6.
        convolution: Taps (odd) of a depthwise convolution of v along the tokens, one filter per head, added to the
            output. Default: None, no convolution.
        variant: "paper", or "released" for CAB's code, as in `nystrom`. Default: "paper".
        pattern: One of the class's `patterns`. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.

    Raises:
        ValueError: Impossible sizes or options.
        TypeError: Options of the wrong type.
    """

    function_options: ClassVar[Mapping[str, Any]] = {"landmarks": 16, "iterations": 6}
    example: ClassVar[Mapping[str, Any]] = {"landmarks": 8}

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        landmarks: int = 16,  # CAB's
        iterations: int = 6,
        convolution: int | None = None,
        variant: Variant = "paper",
        pattern: Pattern = "noncausal_self",
        bias: bool = True,
    ) -> None:
        check_count(landmarks, 1, "landmarks")
        check_count(iterations, 0, "iterations")
        check_choice(variant, VARIANTS, "variant")
        if convolution is not None:
            check_count(convolution, 1, "convolution")
            if convolution % 2 == 0:
                raise ValueError(f"convolution must be odd, so that it has a middle, got {convolution}")
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        self.landmarks, self.iterations, self.variant = landmarks, iterations, variant
        self.convolution: nn.Conv2d | None = None
        if convolution is not None:
            self.convolution = nn.Conv2d(heads, heads, (convolution, 1), padding="same", groups=heads, bias=False)

    def reset_own(self) -> None:
        if self.convolution is not None:
            self.convolution.reset_parameters()

    @classmethod
    def exact(cls, length: int) -> Mapping[str, Any]:
        return {"landmarks": length}

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        options: dict[str, Any] = {"landmarks": self.landmarks, "iterations": self.iterations, "variant": self.variant}
        return self._convolved(nystrom(q, k, v, key_mask=key_mask, **options), v, key_mask)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        out = naive_nystrom(q, k, v, landmarks=self.landmarks, iterations=self.iterations, key_mask=key_mask)
        return self._convolved(out, v, key_mask)

    def _convolved(self, out: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        if self.convolution is None:
            return out
        return torch.add(out, self.convolution(zero_masked(v, key_mask)))

    @classmethod
    def attend(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        return nystrom(q, k, v, key_mask=call.key_mask, scale=call.scale, **call.options)

    @classmethod
    def parameter_count(
        cls, *, width: int, heads: int, length: int, bias: bool = True, convolution: int | None = None, **options: Any
    ) -> int:
        """Those of the four maps, and `convolution` per head."""
        maps = super().parameter_count(width=width, heads=heads, length=length, bias=bias, **options)
        return maps + heads * (convolution or 0)

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, landmarks: int = 16, **options: Any) -> int:
        """2 per head times the products of the definition.

        Means c (n + m) d, F and G c (n + m) (d + e), A c² d, A⁺ 4 iterations c³, A⁺ (G V) c² e, convolution m e · size.
        """
        if n <= landmarks:
            return super().mix_flops(heads=heads, n=n, m=m, d=d, e=e)
        c, iterations, size = landmarks, int(options.get("iterations", 6)), int(options.get("convolution") or 0)
        return 2 * heads * (c * (n + m) * (2 * d + e) + c * c * (d + e) + 4 * iterations * c**3 + m * e * size)

    @classmethod
    def score_entries(cls, *, heads: int, n: int, m: int, landmarks: int = 16, **options: Any) -> int:
        """n c + c² + c m per head; n m when n ≤ c."""
        return heads * (n * m if n <= landmarks else landmarks * (n + landmarks + m))

    def extra_repr(self) -> str:
        return (
            f"{super().extra_repr()}, landmarks={self.landmarks}, iterations={self.iterations}, variant={self.variant}"
        )
