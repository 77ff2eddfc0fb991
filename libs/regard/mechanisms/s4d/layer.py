"""S4D: the function on sequences and the layer. Formula and source: `regard.mechanisms.s4d`."""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from regard.attention import Attention
from regard.common.checks import VARIANTS, Variant, check_choice, check_count, check_flag, check_tensor
from regard.common.nonfinite import zero_and_mark_causal
from regard.common.patterns import Pattern, zero_masked
from regard.mechanisms.s4d.fft_conv import discretise, exponential_kernel, fast_fft_length, fft_convolve
from regard.mechanisms.s4d.naive import naive_s4d
from regard.registry import mechanism

Start = Literal["inverse", "linear"]
STARTS: tuple[Start, ...] = get_args(Start)
ARRAYS = ("log_dt", "a_real", "a_imag", "c_real", "c_imag", "skip")


def s4d(
    u: Tensor,
    *,
    log_dt: Tensor,
    a_real: Tensor,
    a_imag: Tensor,
    c_real: Tensor,
    c_imag: Tensor,
    skip: Tensor,
    bidirectional: bool = False,
) -> Tensor:
    """The diagonal state space on a sequence, before the activation (Gu et al. 2022, table 1).

    Half precision is summed in float32.

    The FFT spreads rounding errors over a whole row: every entry has the error of the row's largest one.

    Args:
        u: `(b, n, w)`; padding must be zero.
        log_dt: log Δ, `(w)`.
        a_real: Re A < 0, `(modes)`.
        a_imag: Im A, `(modes)`.
        c_real: Re C, `(channels, w, modes)`, with twice the channels if bidirectional, the second half for later
            tokens.
        c_imag: Im C, as `c_real`.
        skip: D, `(channels, w)`.
        bidirectional: Are there kernels for later tokens too? Default: False.

    Returns:
        `(b, n, channels, w)`.

    Raises:
        ValueError: Shapes, devices or options that do not fit; the message has the numbers.
        TypeError: Arguments of the wrong type.
    """
    check_tensor(u, "u")
    check_flag(bidirectional, "bidirectional")
    if u.ndim != 3:
        raise ValueError(f"u must be (batch, length, width), got {tuple(u.shape)}")
    arrays = (log_dt, a_real, a_imag, c_real, c_imag, skip)
    for name, array in zip(ARRAYS, arrays, strict=True):
        check_tensor(array, name, u.device)
    width, channels, modes = u.shape[2], len(skip) if skip.ndim else 0, a_real.numel()
    weights_shape = (channels * (2 if bidirectional else 1), width, modes)
    wanted = [(width,), (modes,), (modes,), weights_shape, weights_shape, (channels, width)]
    shapes = [tuple(x.shape) for x in arrays]
    if shapes != wanted or 0 in (width, channels, modes):
        given = f"{channels} channels of width {width}, bidirectional = {bidirectional}"
        raise ValueError(f"for {given}, {', '.join(ARRAYS)} must be {wanted}, none of it empty, got {shapes}")
    if u.shape[1] == 0:
        return u.new_zeros(u.shape[0], 0, channels, width)
    dtype, wide = u.dtype, torch.promote_types(u.dtype, torch.float32)
    # The transform would carry a later NaN to every row, which is right where a kernel looks ahead.
    u, mark = (u.to(wide), None) if bidirectional else zero_and_mark_causal(u.to(wide))
    u = u.mT  # b w n
    step, weights = discretise(*(x.to(wide) for x in arrays[:-1]))
    taps = exponential_kernel(step, weights, u.shape[2])
    y = fft_convolve(u, taps[:channels], taps[channels:] if bidirectional else None)
    y = y + skip.to(wide)[:, :, None] * u[:, None]
    y = rearrange(y, "b c w n -> b n c w")
    return (y if mark is None else y + mark[:, :, None]).to(dtype)


@mechanism("s4d", patterns=("noncausal_self", "causal_self"), paper="Gu et al. 2022, as in CAB (Zhang et al. 2023)")
class S4dLayer(Attention):
    """S4D with `heads` channels: no query, key and value projections, and an output projection of heads · w -> w.

    It is bidirectional if noncausal and unidirectional if causal. Padding belongs at the end. Initially Δ is
    log-uniform in [0.001, 0.1], C is complex normal times a normal B of unit output variance, and D is normal.

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        state: Real states, two per complex mode; even. Default: 16.
        start: How A is initialised: "inverse", −½ + i (N / π)(N / (2 m + 1) − 1) with N = `state` (S4D-Inv, as in CAB),
            or "linear", −½ + i π m (S4D-Lin). Default: "inverse".
        variant: "paper", or "released" for the default of CAB's class, unidirectional in both patterns. Default:
            "paper".
        pattern: One of the class's `patterns`. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.

    Raises:
        ValueError: Impossible sizes or options.
        TypeError: Options of the wrong type.
    """

    maps = ()
    example: ClassVar[Mapping[str, Any]] = {"state": 8}

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        state: int = 16,
        start: Start = "inverse",
        variant: Variant = "paper",
        pattern: Pattern = "noncausal_self",
        bias: bool = True,
    ) -> None:
        check_count(state, 2, "state")
        if state % 2:
            raise ValueError(f"state must be even, two to a complex mode, got {state}")
        check_choice(start, STARTS, "start")
        check_choice(variant, VARIANTS, "variant")
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        self.state, self.start, self.variant = state, start, variant
        self.bidirectional = not self.causal and variant == "paper"
        modes, kernels = state // 2, heads * (2 if self.bidirectional else 1)
        self.log_dt = nn.Parameter(torch.empty(width))
        self.a_log_real, self.a_imag = (nn.Parameter(torch.empty(modes)) for _ in range(2))
        self.c_real, self.c_imag = (nn.Parameter(torch.empty(kernels, width, modes)) for _ in range(2))
        self.skip = nn.Parameter(torch.empty(heads, width))
        self.reset_system()
        self.output = nn.Linear(heads * width, width, bias=bias)
        self.reset_output()

    def reset_own(self) -> None:
        self.reset_system()
        self.reset_output()

    def reset_output(self) -> None:
        """Xavier-uniform, zero bias, as the projections of other layers."""
        nn.init.xavier_uniform_(self.output.weight)
        if self.output.bias is not None:
            nn.init.zeros_(self.output.bias)

    @torch.no_grad()
    def reset_system(self) -> None:
        """A and B by `start`, C normal, Δ from 0.001 to 0.1 log-uniform, D normal; computed in float32 at least."""
        modes, state, device = self.state // 2, self.state, self.log_dt.device
        wide = torch.promote_types(self.log_dt.dtype, torch.float32)
        m = torch.arange(modes, device=device).to(wide)
        a_imag = state / math.pi * (state / (2 * m + 1) - 1) if self.start == "inverse" else math.pi * m
        a = torch.complex(torch.full_like(a_imag, -0.5), a_imag)
        b = torch.randn(modes, dtype=torch.cfloat, device=device)
        b = b / (2 * (b / a).abs().square().sum()).sqrt()
        c = torch.randn(self.c_real.shape, dtype=torch.cfloat, device=device) * b
        smallest, largest = math.log(0.001), math.log(0.1)
        drawn = torch.rand(self.log_dt.shape, device=device, dtype=wide)
        self.log_dt.copy_(drawn * (largest - smallest) + smallest)
        self.a_log_real.copy_(a.real.neg().log())
        self.a_imag.copy_(a_imag)
        self.c_real.copy_(c.real)
        self.c_imag.copy_(c.imag)
        self.skip.copy_(torch.randn(self.skip.shape, device=device, dtype=wide))

    def system(self) -> dict[str, Tensor]:
        """Δ, A and C as `s4d` takes them."""
        a = {"a_real": -self.a_log_real.exp(), "a_imag": self.a_imag}
        return {"log_dt": self.log_dt, **a, "c_real": self.c_real, "c_imag": self.c_imag}

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        """v (b, h, n, d), the layer's input on split heads -> GELU(y) as (b, channels = h, n, w); q and k are not read."""
        return self.mix_by(s4d, v, key_mask)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return self.mix_by(naive_s4d, v, key_mask)

    def mix_by(self, function: Callable[..., Tensor], v: Tensor, key_mask: Tensor | None) -> Tensor:
        u = zero_masked(rearrange(v, "b h n d -> b n (h d)"), key_mask)
        y = function(u, skip=self.skip, bidirectional=self.bidirectional, **self.system())
        return F.gelu(rearrange(y, "b n c w -> b c n w"))

    def mix_step(self, q: Tensor, k: Tensor, v: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The state is s_i of the recurrence, (b, w, modes), complex; one serves all channels."""
        wide = torch.promote_types(v.dtype, torch.float32)
        u = rearrange(v.to(wide), "b h 1 d -> b (h d) 1")
        step, weights = discretise(**{name: x.to(wide) for name, x in self.system().items()})
        state = u + (0 if state is None else step.exp() * state)
        y = 2 * torch.einsum("cwm,bwm->bcw", weights, state.to(weights.dtype)).real + self.skip.to(wide) * u.mT
        return F.gelu(y[:, :, None].to(v.dtype)), state

    @classmethod
    def parameter_count(
        cls, *, width: int, heads: int, length: int, bias: bool = True, state: int = 16, **options: Any
    ) -> int:
        """h w² + w of the output map, h w state of C (twice that if bidirectional), h w of D, w of Δ and state of A.

        Reads `pattern`, `variant`.
        """
        kernels = heads * (2 if is_bidirectional(**options) else 1)
        output = heads * width * width + bias * width
        return output + kernels * width * state + heads * width + width + state

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, state: int = 16, **options: Any) -> int:
        """The kernel, the transforms and their product.

        The kernel, once per call, at 8 FLOPs per complex multiply-add; transforms of length L at 5 / 2 L log₂ L; their
        product at 6 per number.
        """
        width, length = heads * d, fast_fft_length(2 * n)
        kernels = 8 * heads * (2 if is_bidirectional(**options) else 1) * width * n * (state // 2)
        transforms = width * (1 + 2 * heads) * 5 * length * math.log2(length) / 2
        return kernels + round(transforms) + 6 * heads * width * (length // 2 + 1)

    @classmethod
    def score_entries(cls, *, heads: int, n: int, m: int, **options: Any) -> int:
        """None: there are no scores."""
        return 0

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, state={self.state}, variant={self.variant}"


def is_bidirectional(pattern: Pattern = "noncausal_self", variant: Variant = "paper", **options: Any) -> bool:
    """Whether a layer built with these options also has kernels for later tokens."""
    return pattern == "noncausal_self" and variant == "paper"
