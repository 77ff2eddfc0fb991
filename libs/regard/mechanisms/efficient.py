"""Efficient attention: no key map and no value map; head i reads column block i of the source for both.

    H_i = softmax(Q W_i^Q K_iᵀ / √d) V_i        O = concat_i(H_i) W^O        K_i, V_i = columns i d … (i + 1) d - 1 of K, V

Hosseini and Hosseini, "You Need to Pay Better Attention", 2024 (version 2), section 3.2. Half the parameters of
standard attention and two products fewer per head. With one head the two are the same functions (W^Q takes the place of
W^Q (W^K)ᵀ, W^O for W^V W^O); with more they are not: head i selects by the same coordinates that it returns. Time and
memory are those of softmax attention: on split heads the two do not differ.
"""

from torch import Tensor

from regard.attention import Attention
from regard.common.patterns import ALL_PATTERNS
from regard.mechanisms.softmax import naive_softmax, softmax
from regard.registry import mechanism


@mechanism("efficient", patterns=ALL_PATTERNS, paper="Hosseini and Hosseini 2024")
class EfficientAttention(Attention):
    """Softmax attention without W^K and W^V (Hosseini and Hosseini 2024, section 3.2).

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
    maps = ("query", "output")

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return softmax(q, k, v, causal=self.causal, key_mask=key_mask)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return naive_softmax(q, k, v, causal=self.causal, key_mask=key_mask)
