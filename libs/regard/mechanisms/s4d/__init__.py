"""S4D, the diagonal state space: no scores, but a long convolution with a learned kernel per feature and channel.

    κ_l = 2 Re Σ_m C_m (exp(Δ A_m) − 1) / A_m · exp(Δ A_m l)        y_i = Σ_{j ≤ i} κ_{i−j} u_j + D u_i
    bidirectional:  … + Σ_{j > i} κ'_{j−i−1} u_j, a second kernel on the tokens that follow

u is the layer's input; A (modes) is complex and shared by the features, Δ = exp(log_dt) (w) is one step per feature, C
(channels, w, modes), with B folded in, and D (channels, w). The layer gives GELU(y), channels side by side, to its
output projection. Gu et al., "On the Parameterization and Initialization of Diagonal State Space Models", 2022, table 1
(zero-order hold), in the form of CAB's library: a head is a channel. By FFT: time O(channels w n (log n + modes)),
memory O(channels w n) for the kernel, and as much for each row.

naive.py      the definition, as a recurrence
layer.py      the function, the layer
fft_conv.py   kernels that are sums of exponentials, and long convolutions by FFT
"""

from regard.mechanisms.s4d.layer import S4dLayer, s4d
from regard.mechanisms.s4d.naive import naive_s4d

__all__ = ["S4dLayer", "naive_s4d", "s4d"]
