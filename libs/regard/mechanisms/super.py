"""Super attention: Efficient attention whose values are first mixed along the tokens by one learned matrix W^A.

    H_i = softmax(Q W_i^Q K_iᵀ / √d) (W^A V_i + β)        O = concat_i(H_i) W^O        K_i, V_i = columns i d … (i + 1) d - 1 of K, V

Hosseini and Hosseini, "You Need to Pay Better Attention", 2024 (version 2), section 3.3, equations 19 to 23. W^A (m, m)
is shared by the heads of a layer; β (m) is its bias, one number per token, added to every feature (the paper's
parameter counts have it). Causal self attention needs a lower triangular W^A as well as the causal mask: row t of W^A V
may use rows j ≤ t. Where the source is seen whole (both cross patterns) W^A is full. Time O(n m d + m² e), memory O(m²)
for W^A. Fewer parameters than standard attention while m < √2 w, fewer FLOPs while m < 2 w.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from regard.attention import Attention
from regard.common.checks import check_count, check_flag, check_mask, check_tensor
from regard.common.nonfinite import zero_and_mark_causal
from regard.common.patterns import ALL_PATTERNS, Pattern, zero_masked
from regard.mechanisms.softmax import naive_softmax, softmax
from regard.registry import mechanism


def naive_super_values(
    v: Tensor, *, weight: Tensor, bias: Tensor | None = None, causal: bool = False, key_mask: Tensor | None = None
) -> Tensor:
    """The definition, token by token. Arguments as `super_values`."""
    m = v.shape[2]
    rows = []
    for t in range(m):
        row = torch.zeros_like(v[:, :, 0])  # b h e
        for j in range(t + 1 if causal else m):
            seen = True if key_mask is None else key_mask[:, j, None, None]
            row = row + torch.where(torch.as_tensor(seen, device=v.device), v[:, :, j], 0) * weight[t, j]
        rows.append(row if bias is None else row + bias[t])
    return torch.stack(rows, 2) if rows else v


def super_values(
    v: Tensor, *, weight: Tensor, bias: Tensor | None = None, causal: bool = False, key_mask: Tensor | None = None
) -> Tensor:
    """The mixed values V' = W^A V + β that Super attention attends to (Hosseini and Hosseini 2024, equation 22).

    Args:
        v: Values `(b, h, m, e)`.
        weight: W^A, `(length, length)` with length ≥ m; a shorter input takes its first m rows and columns.
        bias: β, `(length)`, added to every feature. Default: None.
        causal: Use only the lower triangle of `weight`? Default: False.
        key_mask: `(b, m)`, boolean, True = keep; masked rows of v are not mixed into the others, because the mask of
            the scores would come too late. Default: None, all keys.

    Returns:
        `(b, h, m, e)`.

    Raises:
        ValueError: m > length, or shapes and devices that do not fit; the message has the numbers.
        TypeError: Arguments of the wrong type.
    """
    check_flag(causal, "causal")
    check_tensor(v, "v")
    if v.ndim != 4:
        raise ValueError(f"v must be (batch, heads, length, width), got {tuple(v.shape)}")
    m = v.shape[2]
    check_tensor(weight, "the weight of Super attention", v.device)
    if weight.ndim != 2 or weight.shape[0] != weight.shape[1]:
        raise ValueError(f"the weight of Super attention must be square, got {tuple(weight.shape)}")
    if m > weight.shape[0]:
        raise ValueError(
            f"Super attention of length {weight.shape[0]} cannot take {m} tokens: build it with length={m}"
        )
    if bias is not None:
        check_tensor(bias, "the bias of Super attention", v.device)
        if bias.shape != weight.shape[:1]:
            raise ValueError(
                f"the bias of Super attention must be ({weight.shape[0]},), as its weight, got {tuple(bias.shape)}"
            )
    check_mask(key_mask, v.shape[0], m, "key_mask", v.device)
    v, weight = zero_masked(v, key_mask), weight[:m, :m].to(v.dtype)
    if causal:
        v, mark = zero_and_mark_causal(v)
        mixed = weight.tril() @ v + mark
    else:
        mixed = weight @ v
    return mixed if bias is None else mixed + bias[:m, None].to(v.dtype)


@mechanism("super", patterns=ALL_PATTERNS, paper="Hosseini and Hosseini 2024")
class SuperAttention(Attention):
    """Softmax attention without W^K and W^V, with W^A = `mixing.weight`.

    W^A is initialised Xavier-uniform, our choice: the paper's initialisation is unknown. Tokens are told apart by their
    position in the batch, so padding belongs at the end.

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        length: The longest source; W^A is `(length, length)`.
        pattern: One of the class's `patterns`. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.

    Raises:
        ValueError: Impossible sizes or options.
        TypeError: Options of the wrong type.
    """

    weighted_mean = True
    maps: ClassVar[tuple[str, ...]] = ("query", "output")
    example: ClassVar[Mapping[str, Any]] = {"length": 128}

    def __init__(
        self, *, width: int, heads: int, length: int, pattern: Pattern = "noncausal_self", bias: bool = True
    ) -> None:
        check_count(length, 1, "length")
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        self.length = length
        self.mixing = nn.Linear(length, length, bias=bias)
        self.reset_own()

    def reset_own(self) -> None:
        nn.init.xavier_uniform_(self.mixing.weight)
        if self.mixing.bias is not None:
            nn.init.zeros_(self.mixing.bias)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        mixing = self.mixing
        v = super_values(v, weight=mixing.weight, bias=mixing.bias, causal=self.causal, key_mask=key_mask)
        return softmax(q, k, v, causal=self.causal, key_mask=key_mask)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        mixing = self.mixing
        v = naive_super_values(v, weight=mixing.weight, bias=mixing.bias, causal=self.causal, key_mask=key_mask)
        return naive_softmax(q, k, v, causal=self.causal, key_mask=key_mask)

    def attended_values(self, v: Tensor, key_mask: Tensor | None) -> Tensor:
        """V' = W^A V + β."""
        mixing = self.mixing
        return super_values(v, weight=mixing.weight, bias=mixing.bias, causal=self.causal, key_mask=key_mask)

    def mix_attended(self, q: Tensor, k: Tensor, values: Tensor, key_mask: Tensor | None, **also: Any) -> Tensor:
        """Softmax attention to V' as it is."""
        return softmax(q, k, values, causal=self.causal, key_mask=key_mask)

    @classmethod
    def parameter_count(cls, *, width: int, heads: int, length: int, bias: bool = True, **options: Any) -> int:
        """2 (w² + w) + l² + l, without the linear terms if there is no bias."""
        maps = super().parameter_count(width=width, heads=heads, length=length, bias=bias, **options)
        return maps + length * (length + bias)

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, **options: Any) -> int:
        """Those of softmax attention, and 2 m² e per head for W^A V."""
        return super().mix_flops(heads=heads, n=n, m=m, d=d, e=e, **options) + 2 * heads * m * m * e

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, length={self.length}"
