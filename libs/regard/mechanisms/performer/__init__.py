"""Performer: positive random features whose products are, on average, the exponential of the scores (FAVOR+).

    out_i = φ(q_i)ᵀ Σ_j φ(k_j) v_jᵀ / φ(q_i)ᵀ Σ_j φ(k_j)
    φ(x) = f^(-1/2) (exp(W x̂ − ‖x̂‖² / 2 − top) + ε)        x̂ = x d^(-1/4)

W (f, d) has orthogonal blocks of rows, as long as those of a Gaussian matrix. `top` is the largest W x̂: over the
features of a query, over features and real keys of a (batch, head). The sums run over every key, or over j ≤ i when
causal self; ε is then 0, because `top` would let a row see the future through ε. Without ε `top` cancels, and the
numerically safest value is used in its place. Choromanski et al., "Rethinking Attention with Performers", 2021,
equation 5 and lemma 1; ε and `top` as in CAB's library (Zhang et al. 2023), whose floor of 0.1 under the denominator is
left out (`variant="released"` has it). Time O(n f (d + e)), memory O(n (f + e)); the causal form takes as long, span by
span.

naive.py        the definition
layer.py        the function on split heads, the layer
projection.py   W, and the exponents of the features
heads.py        the noncausal form, some heads at a time
chunk.py        the causal form, in chunks
"""

from regard.mechanisms.performer.layer import PerformerAttention, performer
from regard.mechanisms.performer.naive import naive_performer
from regard.mechanisms.performer.projection import orthogonal_projection

__all__ = ["PerformerAttention", "naive_performer", "orthogonal_projection", "performer"]
