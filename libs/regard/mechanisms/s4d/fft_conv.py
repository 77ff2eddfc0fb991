"""Long convolutions by the fast Fourier transform, and kernels that are sums of exponentials.

Time O(n log n) per kernel.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

COMPILED_BLOCK = 64  # in a graph for all lengths, which has no square root of one


def fft_convolve(u: Tensor, taps: Tensor, later: Tensor | None = None) -> Tensor:
    """Σ_{j ≤ i} taps_{i−j} u_j, plus Σ_{j > i} later_{j−i−1} u_j.

    u `(b, w, n)`, kernels `(c, w, n)` -> `(b, c, w, n)`.

    Rounding errors spread over a whole row: every entry has the error of the row's largest one.
    """
    n = u.shape[-1]
    length = fast_fft_length(2 * n)
    around = F.pad(taps, (0, length - n))
    if later is not None:  # tap s acts on the token s + 1 ahead: in a circle, s + 1 before the end
        around = around + F.pad(later.flip(-1), (length - n, 0))
    if u.shape[0] == 0:  # the transform refuses an empty batch
        return u[:, None] * taps
    spectrum = torch.fft.rfft(u, n=length)[:, None] * torch.fft.rfft(around)
    out: Tensor = torch.fft.irfft(spectrum, n=length)
    return out[..., :n]


def discretise(log_dt: Tensor, a_real: Tensor, a_imag: Tensor, c_real: Tensor, c_imag: Tensor) -> tuple[Tensor, Tensor]:
    """Δ A (w, modes), and C (exp(Δ A) − 1) / A (channels, w, modes); complex."""
    a = torch.complex(a_real, a_imag)
    step = log_dt.exp()[:, None] * a
    return step, torch.complex(c_real, c_imag) * torch.expm1(step) / a


def exponential_kernel(step: Tensor, weights: Tensor, n: int) -> Tensor:
    """2 Re Σ_m weights_m exp(step_m l) for l < n: (w, modes) and (channels, w, modes) -> (channels, w, n).

    With l = block · i + j, exponentials of √n values of i and √n of j suffice; a product over the modes gives the rest.
    """
    block = COMPILED_BLOCK if torch.compiler.is_compiling() else math.isqrt(max(n, 1) - 1) + 1
    place = torch.arange(block, device=step.device)
    blocks = torch.arange(-(-n // block), device=step.device) if torch.compiler.is_compiling() else place
    coarse = weights[..., None] * (step[..., None] * (block * blocks)).exp()  # channels w modes i
    taps = coarse.mT @ (step[..., None] * place).exp()  # channels w i j
    real: Tensor = taps.real
    return 2 * real.flatten(2)[..., :n]


def fast_fft_length(least: int) -> int:
    """The smallest length, at least `least`, that suits a fast Fourier transform.

    It is of the form 2^a, 3 · 2^a, 5 · 2^a, 9 · 2^a or 15 · 2^a; in a compiled graph, for all lengths, of 256 · a.
    """
    if torch.compiler.is_compiling():
        return -(-least // 256) * 256
    return min(odd << max(0, math.ceil(math.log2(least / odd))) for odd in (1, 3, 5, 9, 15))
