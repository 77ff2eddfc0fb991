"""ABC, attention with bounded-memory control: keys and values are summed into c slots, and queries attend to the slots.

    K̃_c = Σ_j softmax_j(k_j · φ_c) k_j        Ṽ_c = Σ_j softmax_j(v_j · ψ_c) v_j
    out_i = Σ_c softmax_c(scale · q_i · K̃_c) Ṽ_c        scale = d^(-1/2)

The sums run over every key, or over j ≤ i when causal self, so that every query then has slots of its own. φ =
`key_slots` (d, c) and ψ = `value_slots` (e, c) are learned and shared by the heads; values are weighted by scores of
the values. Peng et al., "ABC: Attention with Bounded-memory Control", 2022, in the form of CAB's library, whose causal
branch forgets the sum over j (`variant="released"`). Time O((n + m) c (d + e)), memory O((n + m) c). Causal: time O(n c
(d + e + chunk)), span by span, with one state of the slots per chunk. A later key, however large, changes earlier rows
by rounding at most.

naive.py   the definition
layer.py   the function on split heads, the layer
chunk.py   the causal form, in chunks
"""

from regard.mechanisms.abc.layer import AbcAttention, abc
from regard.mechanisms.abc.naive import naive_abc

__all__ = ["AbcAttention", "abc", "naive_abc"]
