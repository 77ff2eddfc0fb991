"""LARA: the golden vectors, the mask in landmarks and log-sums, and gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from regard.mechanisms.lara import LaraAttention, lara, naive_lara
from regard.registry import build
from tests.paths import GOLDEN


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("case", "landmarks"), [("even", 16), ("ragged", 8)])
def test_golden(case: str, landmarks: int) -> None:
    arrays = np.load(GOLDEN / f"lara-{case}.npz")
    q, k, v, expected = (torch.from_numpy(arrays[name]) for name in ("q", "k", "v", "out"))
    for function in (lara, naive_lara):
        torch.testing.assert_close(function(q, k, v, landmarks=landmarks), expected, rtol=0, atol=2e-5)


@settings(max_examples=40)
@given(
    b=st.integers(0, 3),
    h=st.integers(1, 2),
    n=st.integers(1, 20),
    e=st.integers(1, 4),
    landmarks=st.integers(1, 8),
    noisy=st.booleans(),
    masked=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_equals_the_definition(
    b: int, h: int, n: int, e: int, landmarks: int, noisy: bool, masked: bool, seed: int
) -> None:
    q, k, v = draw(b, h, n, 3, seed=seed), draw(b, h, n, 3, seed=seed + 1), draw(b, h, n, e, seed=seed + 2)
    noise = draw(1, h, landmarks, 3, seed=seed + 3) if noisy else None
    mask = draw(b, n, seed=seed + 4) > 0.3 if masked else None  # some rows hold nothing real
    if mask is not None:
        q, k, v = (x.masked_fill(~mask[:, None, :, None], torch.nan) for x in (q, k, v))
    out = lara(q, k, v, landmarks=landmarks, noise=noise, key_mask=mask)
    expected = naive_lara(q, k, v, landmarks=landmarks, noise=noise, key_mask=mask)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)


def test_gradients_with_a_mask_and_noise() -> None:
    mask = torch.arange(11) < torch.tensor([[11], [5], [0]])
    leaves = [draw(3, 2, 11, 4, seed=seed).masked_fill(~mask[:, None, :, None], torch.nan) for seed in range(3)]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    noise = draw(3, 2, 3, 4, seed=9).requires_grad_()
    weights = draw(3, 2, 11, 4, seed=10)
    gradients = [
        torch.autograd.grad(
            (function(*leaves, landmarks=3, noise=noise, key_mask=mask) * weights).sum(), [*leaves, noise]
        )
        for function in (lara, naive_lara)
    ]
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_training_draws_noise_and_evaluation_does_not() -> None:
    layer = build("lara", width=8, heads=2, landmarks=3)
    x = draw(1, 9, 8, seed=0).float()
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    assert "landmarks=3" in repr(layer)


def test_large_inputs_stay_finite() -> None:
    q, k, v = (30 * draw(1, 1, 40, 8, seed=seed).float() for seed in range(3))
    assert lara(q, k, v, landmarks=5).isfinite().all()


def test_cost_is_what_torch_counts() -> None:
    q, k, v = draw(1, 2, 20, 4, seed=0), draw(1, 2, 20, 4, seed=1), draw(1, 2, 20, 6, seed=2)
    with FlopCounterMode(display=False) as counter:
        lara(q, k, v, landmarks=5)
    means = 2 * 2 * 5 * (20 + 20) * 4  # products of the definition; without a mask they are sums of views
    assert counter.get_total_flops() + means == LaraAttention.mix_flops(heads=2, n=20, m=20, d=4, e=6, landmarks=5)
    assert LaraAttention.score_entries(heads=2, n=20, m=20, landmarks=5) == 2 * 2 * 20 * 5


def test_errors_name_the_numbers() -> None:
    x = torch.ones(2, 2, 6, 4)
    with pytest.raises(ValueError, match="n = 6 and m = 5"):
        lara(x, x[:, :, :5], x[:, :, :5], landmarks=2)
    with pytest.raises(ValueError, match="landmarks must be at least 1, got 0"):
        lara(x, x, x, landmarks=0)
    with pytest.raises(ValueError, match=r"noise must be .*landmarks = 3, d = 4\), got \(1, 2, 2, 4\)"):
        lara(x, x, x, landmarks=3, noise=torch.ones(1, 2, 2, 4))
    with pytest.raises(ValueError, match=r"\(2, 6\), got \(2, 5\)"):
        lara(x, x, x, landmarks=2, key_mask=torch.ones(2, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match="landmarks must be at least 1, got -1"):
        build("lara", width=8, heads=2, landmarks=-1)
    with pytest.raises(ValueError, match="noncausal_self"):
        build("lara", width=8, heads=2, pattern="causal_self")
