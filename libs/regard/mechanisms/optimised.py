"""Optimised attention: no value map; head i reads column block i of the values' own input.

    H_i = softmax(Q W_i^Q (K W_i^K)ᵀ / √d) V_i        O = concat_i(H_i) W^O        V_i = columns i d … (i + 1) d - 1 of V

Hosseini and Hosseini, "You Need to Pay Better Attention", 2024 (version 2), section 3.1. Three quarters of the
parameters of standard attention and one product fewer per head. With one head the two are the same functions (W^O
stands for W^V W^O); with more they are not, because head i can no longer choose what it reads. Time and memory are
those of softmax attention: on split heads the two do not differ.
"""

from torch import Tensor

from regard.attention import Attention
from regard.common.patterns import ALL_PATTERNS
from regard.mechanisms.softmax import naive_softmax, softmax
from regard.registry import mechanism


@mechanism("optimised", patterns=ALL_PATTERNS, paper="Hosseini and Hosseini 2024")
class OptimisedAttention(Attention):
    """Softmax attention without W^V (Hosseini and Hosseini 2024, section 3.1).

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
    maps = ("query", "key", "output")

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return softmax(q, k, v, causal=self.causal, key_mask=key_mask)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return naive_softmax(q, k, v, causal=self.causal, key_mask=key_mask)
