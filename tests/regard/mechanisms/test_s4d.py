"""S4D: the golden vectors, FFT against the recurrence, steps, padding, and how the parameters start."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard.mechanisms.s4d import S4dLayer, naive_s4d, s4d
from regard.mechanisms.s4d.fft_conv import exponential_kernel, fast_fft_length, fft_convolve
from regard.registry import build
from tests.paths import GOLDEN


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def parameters(width: int, channels: int, modes: int, bidirectional: bool) -> dict[str, Tensor]:
    kernels = channels * (2 if bidirectional else 1)
    return {
        "log_dt": draw(width, seed=20) - 2,
        "a_real": -draw(modes, seed=21).exp(),
        "a_imag": 3 * draw(modes, seed=22),
        "c_real": draw(kernels, width, modes, seed=23),
        "c_imag": draw(kernels, width, modes, seed=24),
        "skip": draw(channels, width, seed=25),
    }


@pytest.mark.parametrize("case", ["causal", "bidirectional"])
@pytest.mark.parametrize("function", [s4d, naive_s4d])
def test_golden(case: str, function: Any) -> None:
    loaded = np.load(GOLDEN / f"s4d-{case}.npz")
    arrays = {name.lower(): torch.from_numpy(loaded[name]) for name in loaded.files if name != "meta"}
    names = ("log_dt", "a_real", "a_imag", "c_real", "c_imag")
    options = {name: arrays[name] for name in names}
    y = function(arrays["u"], skip=arrays["d"], bidirectional=case == "bidirectional", **options)
    torch.testing.assert_close(y, arrays["y"], rtol=0, atol=2e-5)
    out = F.linear(F.gelu(y.flatten(2)), arrays["w_out"], arrays["b_out"])
    torch.testing.assert_close(out, arrays["out"], rtol=0, atol=2e-5)


def test_released_noncausal_is_unidirectional() -> None:
    loaded = np.load(GOLDEN / "s4d-causal.npz")
    arrays = {name: torch.from_numpy(loaded[name]) for name in loaded.files if name != "meta"}
    layer = build("s4d", width=16, heads=2, state=16, variant="released")  # noncausal self, and yet
    with torch.no_grad():
        layer.log_dt.copy_(arrays["log_dt"])
        layer.a_log_real.copy_(arrays["A_real"].neg().log())
        layer.a_imag.copy_(arrays["A_imag"])
        layer.c_real.copy_(arrays["C_real"])
        layer.c_imag.copy_(arrays["C_imag"])
        layer.skip.copy_(arrays["D"])
        layer.output.weight.copy_(arrays["W_out"])
        layer.output.bias.copy_(arrays["b_out"])
        torch.testing.assert_close(layer(arrays["u"]), arrays["out"], rtol=0, atol=2e-5)
        changed = arrays["u"].clone()
        changed[:, 24:] += 1
        torch.testing.assert_close(layer(changed)[:, :24], arrays["out"][:, :24], rtol=0, atol=2e-5)
        right = build("s4d", width=16, heads=2)
        assert (right(changed) - right(arrays["u"]))[:, :24].abs().max() > 1e-3


@settings(deadline=None, max_examples=40)
@given(
    b=st.integers(0, 2),
    n=st.integers(1, 40),
    width=st.integers(1, 4),
    channels=st.integers(1, 3),
    modes=st.integers(1, 4),
    bidirectional=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_equals_the_recurrence(
    b: int, n: int, width: int, channels: int, modes: int, bidirectional: bool, seed: int
) -> None:
    u, options = draw(b, n, width, seed=seed), parameters(width, channels, modes, bidirectional)
    out = s4d(u, bidirectional=bidirectional, **options)
    expected = naive_s4d(u, bidirectional=bidirectional, **options)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients(bidirectional: bool) -> None:
    options = parameters(3, 2, 4, bidirectional)
    leaves = {name: value.requires_grad_() for name, value in {"u": draw(2, 13, 3, seed=1), **options}.items()}
    weights, gradients = draw(2, 13, 2, 3, seed=2), []
    for function in (s4d, naive_s4d):
        out = (function(bidirectional=bidirectional, **leaves) * weights).sum()
        gradients.append(torch.autograd.grad(out, list(leaves.values())))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(n=st.integers(1, 30), c=st.integers(1, 2))
def test_convolution_equals_its_sum(n: int, c: int) -> None:
    u, taps, later = draw(1, 2, n, seed=n), draw(c, 2, n, seed=n + 1), draw(c, 2, n, seed=n + 2)
    expected = torch.zeros(1, c, 2, n, dtype=torch.float64)
    for i in range(n):
        for j in range(n):
            expected[..., i] += (taps[..., i - j] if j <= i else later[..., j - i - 1]) * u[:, None, :, j]
    torch.testing.assert_close(fft_convolve(u, taps, later), expected, rtol=0, atol=1e-10)


def test_kernel_is_a_sum_of_exponentials_also_where_they_vanish() -> None:
    step = torch.complex(-draw(2, 3, seed=1).exp() * torch.tensor([0.01, 1.0, 500.0]), draw(2, 3, seed=2))
    weights = torch.complex(draw(4, 2, 3, seed=3), draw(4, 2, 3, seed=4))
    taps = exponential_kernel(step, weights, 50)
    expected = 2 * (weights[..., None] * (step[..., None] * torch.arange(50)).exp()).sum(2).real
    torch.testing.assert_close(taps, expected, rtol=0, atol=1e-12)


def test_fast_lengths_are_long_enough_and_never_twice_as_long() -> None:
    assert [fast_fft_length(least) for least in (1, 2, 7, 100, 16384, 16385)] == [1, 2, 8, 120, 16384, 18432]
    for least in range(1, 2000):
        length = fast_fft_length(least)
        assert least <= length <= max(8, 1.25 * least)
        assert length // (length & -length) in (1, 3, 5, 9, 15)


def test_steps_equal_the_parallel_form() -> None:
    layer = build("s4d", width=8, heads=2, pattern="causal_self", state=6).double()
    x, state, rows = draw(2, 21, 8, seed=0), None, []
    for t in range(21):
        y, state = layer.step(x[:, t : t + 1], state)
        rows.append(y)
    torch.testing.assert_close(torch.cat(rows, 1), layer(x), rtol=0, atol=1e-12)
    assert state.shape == (2, 8, 3)
    assert "state=6" in repr(layer)


def test_starts_of_the_parameters() -> None:
    torch.manual_seed(0)
    layer = build("s4d", width=512, heads=4, state=16)
    golden = np.load(GOLDEN / "s4d-causal.npz")
    torch.testing.assert_close(layer.a_imag.detach(), torch.from_numpy(golden["A_imag"]))  # that of CAB's class
    torch.testing.assert_close(-layer.a_log_real.exp(), torch.full((8,), -0.5))
    linear = build("s4d", width=8, heads=2, state=6, start="linear")
    torch.testing.assert_close(linear.a_imag.detach(), math.pi * torch.arange(3.0))
    dt = layer.log_dt.exp()
    assert 0.001 <= dt.min() < 0.002
    assert 0.05 < dt.max() <= 0.1
    assert layer.c_real.shape == (8, 512, 8)  # 4 channels, two ways
    # C = C_raw B with E|C_raw|² = 1 and 2 Σ |B / A|² = 1
    power = (layer.c_real.square() + layer.c_imag.square()).mean((0, 1))
    total = 2 * (power / (0.25 + layer.a_imag.square())).sum()
    assert 0.9 < total < 1.1


def test_parameters_and_cost() -> None:
    # 512 wide, 8 heads, 16 real states, unidirectional: what CAB's class has
    assert S4dLayer.parameter_count(width=512, heads=8, length=1, variant="released") == 2_167_824
    assert S4dLayer.parameter_count(width=512, heads=8, length=1, pattern="causal_self") == 2_167_824
    assert S4dLayer.parameter_count(width=512, heads=8, length=1) == 2_167_824 + 8 * 512 * 16
    assert S4dLayer.score_entries(heads=8, n=100, m=100) == 0
    small, large = (S4dLayer.mix_flops(heads=2, n=n, m=n, d=4, e=4) for n in (2**12, 2**13))
    assert 2 < large / small < 2.2  # n log n
    # by hand, n = 4, L = 8: kernels 8 · 2 · 8 · 4 · 8, transforms 8 · 5 · 5 · 8 · 3 / 2, product 6 · 2 · 8 · 5
    causal = S4dLayer.mix_flops(heads=2, n=4, m=4, d=4, e=4, pattern="causal_self")
    assert causal == 4096 + 2400 + 480


def test_errors_name_the_numbers() -> None:
    options = parameters(3, 2, 4, bidirectional=False)
    with pytest.raises(ValueError, match=r"\(batch, length, width\), got \(5, 3\)"):
        s4d(torch.ones(5, 3), **options)
    with pytest.raises(TypeError, match="int64"):
        s4d(torch.ones(1, 5, 3, dtype=torch.long), **options)
    with pytest.raises(ValueError, match=r"2 channels of width 3, bidirectional.*\(4, 3, 4\).*got .*\(2, 3, 4\)"):
        s4d(torch.ones(1, 5, 3), bidirectional=True, **options)
    with pytest.raises(ValueError, match=r"state must be even.*got 7"):
        build("s4d", width=8, heads=2, state=7)
    with pytest.raises(ValueError, match="state must be at least 2, got 0"):
        build("s4d", width=8, heads=2, state=0)
    with pytest.raises(ValueError, match="'inverse', 'linear', got 'legs'"):
        build("s4d", width=8, heads=2, start="legs")
