"""Local attention: softmax over a window of keys around each query.

    out_i = Σ_{j ∈ W(i)} softmax_j(scale · q_i · k_j) v_j        scale = d^(-1/2)
    W(i) = [i − window, i + window], or [i − window + 1, i] when causal

CAB (Zhang et al. 2023) after Luong et al. 2015: 2 · window + 1 keys, or the last `window` keys including the query's
own. Keys outside the sequence *or* padded are left out. Time O(n · window · (d + e)), memory O(n (window + d + e)):
blocks of queries against the block and its two margins.

naive.py    the definition
layer.py    the function on split heads, the layer
bands.py    blocks of queries on CPU, by products of views
blocks.py   blocks of queries elsewhere, by fused attention
"""

from regard.mechanisms.local.layer import LocalAttention, local
from regard.mechanisms.local.naive import naive_local

__all__ = ["LocalAttention", "local", "naive_local"]
