"""Long-Short Transformer attention: each query attends to its window and to a compression of the whole, in one softmax.

    out_i = softmax([scale · q_i · K̄ ; scale · q_i · K_win(i)]) [V̄ ; V_win(i)]        scale = d^(-1/2)

Noncausal:

    K = LN_long(k), V = LN_long(v), P = softmax over positions of x W_pᵀ + b_p (h c columns)
    K̄ = LN_short(Pᵀ K), V̄ = LN_short(Pᵀ V)
    the block g = ⌊i / window⌋ of queries sees the keys [g window − s, (g + 1) window + s), s = max(⌊window / 2⌋, 1)

Causal: each chunk of tokens is compressed to r vectors,

    P = softmax inside the chunk of x W_dconvᵀ + b_dconv (h r columns)
    K̄ = LN_dproj(Pᵀ k), V̄ = LN_dproj(Pᵀ v)

and query i sees those of the chunks before its own, and LN_win of the keys and values i − window + 1 … i. With
positions, the scores are (q̂ = scale · q)

    window      (q̂_i + r_w_bias) · k_j + (q̂_i + r_r_bias) · W_r s(i − j)
    compressed  q̂_i · k̄_p + q̂_i · (W_rc s(t) + b_rc)        t: how many compressed vectors lie between p and the last that i sees

with s(t) = [sin(t f), cos(t f)], f = 10000^(−2 l / w). Zhu et al., "Long-Short Transformer", 2021, in the form of CAB's
library, without the all-zero memory that its causal class keeps in front and that takes softmax mass. LayerNorms run
over all heads together; masked queries get 0. Time and memory O(n (window + c)); causal O(n (window + n r / chunk)), as
the definition has it.

naive.py    the definition
layer.py    the function on split heads, the layer
blocks.py   the fast forms, in blocks of queries
"""

from regard.mechanisms.longshort.layer import LongShortAttention, longshort
from regard.mechanisms.longshort.naive import naive_longshort

__all__ = ["LongShortAttention", "longshort", "naive_longshort"]
