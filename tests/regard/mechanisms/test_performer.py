"""Performer: the golden vectors, the estimate it makes, causality to the last bit, and the released floor."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from regard.common.checks import Variant
from regard.common.patterns import zero_masked
from regard.mechanisms.performer import PerformerAttention, naive_performer, performer
from regard.mechanisms.performer.heads import mixed
from regard.mechanisms.performer.projection import orthogonal_projection
from regard.mechanisms.softmax import softmax
from regard.registry import build
from tests.regard.vectors import GOLDEN_TOLERANCE, draw, golden, gradients, heads, masks, peak_bytes

CASES = ("cross", "mild", "cross-mild", "per-head", "causal")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("function", [performer, naive_performer])
def test_golden(case: str, function) -> None:
    z, options = golden(f"performer-{case}")
    q, k, v, W = z["q"], z["k"], z["v"], z["W"]
    out = function(q, k, v, projection=W, causal=case == "causal", epsilon=options["epsilon"])
    torch.testing.assert_close(out, z["out"], rtol=0, atol=GOLDEN_TOLERANCE)
    assert torch.equal(function(q, k, v, projection=W, causal=case == "causal"), out)  # the default
    if "out_exact_eps0" in z:
        out = function(q, k, v, projection=W, epsilon=0.0)
        torch.testing.assert_close(out, z["out_exact_eps0"], rtol=0, atol=GOLDEN_TOLERANCE)


def test_released_floor_under_the_denominator() -> None:
    z, options = golden("performer-cross")
    q, k, v, W = z["q"], z["k"], z["v"], z["W"]
    out = performer(q, k, v, projection=W, variant="released")
    torch.testing.assert_close(out, z["out_official"], rtol=0, atol=GOLDEN_TOLERANCE)
    assert options["denominator_floor"] == 0.1
    ones = torch.ones_like(v)  # weights that sum to 1 give 1 back
    torch.testing.assert_close(performer(q, k, ones, projection=W), torch.ones_like(out))
    assert performer(q, k, ones, projection=W, variant="released").max() < 0.5
    z, _ = golden("performer-mild")  # small inputs stay above the floor
    out = performer(z["q"], z["k"], z["v"], projection=z["W"], variant="released")
    torch.testing.assert_close(out, z["out"], rtol=0, atol=GOLDEN_TOLERANCE)


@settings(max_examples=60)
@given(data=st.data())
def test_equals_the_definition(data: st.DataObject) -> None:
    b, n, causal = data.draw(st.integers(0, 2)), data.draw(st.integers(1, 140)), data.draw(st.booleans())
    m = n if causal else data.draw(st.integers(1, 40))
    mask = data.draw(masks(b, m)) if b and m < 50 else None
    q, k, v = heads(data.draw(st.integers(0, 9)), b=b, n=n, m=m)
    projection = draw(*data.draw(st.sampled_from([(6, 4), (2, 6, 4)])), seed=1)
    epsilon = None if causal else data.draw(st.sampled_from([None, 0.0, 0.1]))
    options = {"projection": projection, "causal": causal, "key_mask": mask, "epsilon": epsilon}
    torch.testing.assert_close(performer(q, k, v, **options), naive_performer(q, k, v, **options))


def test_many_features_estimate_softmax_attention() -> None:
    q, k, v = heads(1, n=30, d=8)
    W = orthogonal_projection(2, 40_000, 8, generator=torch.Generator().manual_seed(0)).double()
    q, k = 0.5 * q, 0.5 * k
    torch.testing.assert_close(performer(q, k, v, projection=W, epsilon=0.0), softmax(q, k, v), rtol=0, atol=0.03)
    crude = performer(q, k, v, projection=W[:, :8], epsilon=0.0)
    assert (crude - softmax(q, k, v)).abs().max() > 0.1


def test_orthogonal_projection() -> None:
    W = orthogonal_projection(3, 10, 4, generator=torch.Generator().manual_seed(0))
    assert W.shape == (3, 10, 4)
    products = W @ W.mT
    for block in (slice(0, 4), slice(4, 8), slice(8, 10)):
        inside = products[:, block, block]
        torch.testing.assert_close(inside, torch.diag_embed(inside.diagonal(dim1=1, dim2=2)), rtol=0, atol=1e-5)
    assert products[:, :4, 4:8].abs().max() > 0.1
    many = orthogonal_projection(500, 8, 8, generator=torch.Generator().manual_seed(1))
    assert many.square().sum(-1).mean().item() == pytest.approx(8, rel=0.05)  # E‖N(0, I)‖² = d
    assert many.mean(0).abs().max() < 0.25  # rotations without a preferred sign
    again = orthogonal_projection(3, 10, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again, W)


@pytest.mark.parametrize("filling", [1e9, torch.nan])
@pytest.mark.parametrize("causal", [False, True])
def test_a_padded_row_equals_its_unpadded_run(filling: float, causal: bool) -> None:
    q, k, v = heads(2, n=70)
    k[0, :, 50:] *= 5  # would be the largest exponent
    mask = torch.ones(2, 70, dtype=torch.bool)
    mask[0, 50:] = mask[1, :20] = False
    W = draw(6, 4, seed=3)
    padded = [x.masked_fill(~mask[:, None, :, None], filling) for x in (q, k, v)]
    out = performer(*padded, projection=W, causal=causal, key_mask=mask)
    for row in range(2):
        alone = performer(*(x[row : row + 1][:, :, mask[row]] for x in (q, k, v)), projection=W, causal=causal)
        torch.testing.assert_close(out[row : row + 1][:, :, mask[row]], alone)


def test_causal_rows_do_not_see_the_future_even_by_rounding() -> None:
    """Not so with one maximum over all positions, or over a chunk, as the stabiliser: a large key drowns those before it."""
    q, k, v = (x.float() for x in heads(4, n=100))
    W = draw(6, 4, seed=5, dtype=torch.float32)
    k[:, :, :90] *= 20  # exponents of −hundreds, next to which 0 is large
    out = performer(q, k, v, projection=W, causal=True)
    exact = naive_performer(q.double(), k.double(), v.double(), projection=W.double(), causal=True)
    assert (exact[:, :, 80] != 0).all()
    torch.testing.assert_close(out[:, :, 0], v[:, :, 0])
    changed = k.clone()
    changed[:, :, 90:] = 0
    assert torch.equal(performer(q, changed, v, projection=W, causal=True)[:, :, :90], out[:, :, :90])


def test_gradients() -> None:
    mask = torch.rand(2, 70, generator=torch.Generator().manual_seed(0)) < 0.7
    mask[1] = False
    inputs = [x.requires_grad_() for x in (*heads(5, n=70), draw(2, 6, 4, seed=6))]
    for options in ({}, {"causal": True}, {"key_mask": mask}, {"causal": True, "key_mask": mask}, {"epsilon": 0.0}):
        fast, plain = (
            gradients(f(*inputs[:3], projection=inputs[3], **options), inputs) for f in (performer, naive_performer)
        )
        torch.testing.assert_close(fast, plain)


def test_no_tensor_of_tokens_features_and_values() -> None:
    q, k, v = (draw(1, 1, 4096, 32, seed=s, dtype=torch.float32) for s in (1, 2, 3))
    W = draw(32, 32, seed=4, dtype=torch.float32)
    for causal in (False, True):
        peak = peak_bytes(lambda causal=causal: performer(q, k, v, projection=W, causal=causal))
        assert peak < 4 * 4096 * 32 * 32 * (0.6 if causal else 0.3)  # 4 bytes times n f e


def test_half_precision_is_summed_in_float32() -> None:
    q, k, v = heads(6, n=500, d=16, e=16)
    W = draw(32, 16, seed=7)
    for causal in (False, True):
        half = performer(*(x.bfloat16() for x in (q, k, v)), projection=W, causal=causal)
        assert half.dtype == torch.bfloat16
        exact = performer(*(x.bfloat16().double() for x in (q, k, v)), projection=W, causal=causal)
        torch.testing.assert_close(half.double(), exact, rtol=0.01, atol=1e-4)


def test_the_projection_travels_in_the_state_dict() -> None:
    layer, other = (
        build("performer", width=8, heads=2, generator=torch.Generator().manual_seed(s)).eval() for s in (0, 1)
    )
    x = draw(2, 9, 8, seed=8, dtype=torch.float32)
    assert not torch.equal(layer.projection, other.projection)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x), other(x))
    other.redraw(torch.Generator().manual_seed(2))
    assert not torch.equal(layer(x), other(x))


def test_costs_against_real_counts() -> None:
    q, k, v = heads(9, b=1, h=2, n=30, m=20, d=4, e=3)
    sums = 2 * 2 * 20 * 6  # of the keys' features, which no product makes
    with FlopCounterMode(display=False) as counter:
        performer(q, k, v, projection=draw(6, 4, seed=1))
    assert PerformerAttention.mix_flops(heads=2, n=30, m=20, d=4, e=3, features=6) == counter.get_total_flops() + sums
    assert PerformerAttention.score_entries(heads=2, n=30, m=20, features=6) == 2 * 50 * 6


def test_errors_give_the_numbers() -> None:
    q, k, v = heads(9)
    W = draw(6, 4, seed=1)
    with pytest.raises(ValueError, match=r"\(features, d = 4\) or \(h = 2, features, d = 4\), got \(6, 5\)"):
        performer(q, k, v, projection=draw(6, 5, seed=1))
    with pytest.raises(ValueError, match=r"got \(3, 6, 4\)"):
        performer(q, k, v, projection=draw(3, 6, 4, seed=1))
    with pytest.raises(ValueError, match=r"epsilon must be at least 0, got -0\.1"):
        performer(q, k, v, projection=W, epsilon=-0.1)
    with pytest.raises(ValueError, match=r"causal Performer needs epsilon = 0, got 0\.1"):
        performer(q, k, v, projection=W, epsilon=0.1, causal=True)
    with pytest.raises(ValueError, match="no causal form"):
        performer(q, k, v, projection=W, causal=True, variant="released")
    with pytest.raises(ValueError, match="n = 20 and m = 19"):
        performer(q, k[:, :, 1:], v[:, :, 1:], projection=W, causal=True)
    with pytest.raises(ValueError, match="features must be at least 1, got 0"):
        build("performer", width=8, heads=2, features=0)
    assert "features=5" in repr(build("performer", width=8, heads=2, features=5))


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("by_token", [False, True])
def test_parts_and_threads_and_layouts_change_nothing(
    by_token: bool, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heads in parts, two threads, heads beside each other as layers hand them over; against all heads at once."""
    monkeypatch.setattr("regard.common.threads.WORTH_SHARING", 0)
    monkeypatch.setattr("regard.mechanisms.performer.heads.PART_FEATURES", 2 * 91 * 10)
    q, k, v = heads(8, b=2, h=3, n=90, m=91, d=8, e=6)
    if by_token:
        q, k, v = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v))
    W, mask = draw(3, 10, 8, seed=3), torch.rand(2, 91, generator=torch.Generator().manual_seed(1)) < 0.9
    inputs = [x.requires_grad_() for x in (q, k, v, W)]
    threads = torch.get_num_threads()
    for epsilon, key_mask in ((1e-2, None), (1e-2, mask), (0.0, mask)):
        kept_k, kept_v = zero_masked(k, key_mask), zero_masked(v, key_mask)
        scaled = (W * 8**-0.25).expand(2, -1, -1, -1)
        expected = mixed(q, kept_k, kept_v, scaled, key_mask, epsilon, 1.0 if variant == "released" else 0.0)
        theirs = gradients(expected, inputs)
        for number in (1, 2):
            try:
                torch.set_num_threads(number)
                options = {"projection": W, "epsilon": epsilon, "key_mask": key_mask, "variant": variant}
                out = performer(q, k, v, **options)
                ours = gradients(out, inputs)
            finally:
                torch.set_num_threads(threads)
            torch.testing.assert_close(out, expected)
            torch.testing.assert_close(ours, theirs)
