"""Nyströmformer: the golden vectors, landmarks over real tokens, and the two departures of the release."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from regard.mechanisms import nystrom as module
from regard.mechanisms.nystrom import NystromAttention, naive_nystrom, nystrom
from regard.mechanisms.softmax import naive_softmax, softmax
from regard.registry import build
from tests.regard.vectors import GOLDEN_TOLERANCE, draw, golden, gradients, heads, masks, peak_bytes


@pytest.mark.parametrize("case", ["even", "ragged"])
@pytest.mark.parametrize("function", [nystrom, naive_nystrom])
def test_golden(case: str, function) -> None:
    z, options = golden(f"nystrom-{case}")
    out = function(z["q"], z["k"], z["v"], landmarks=options["landmarks"], iterations=options["iterations"])
    torch.testing.assert_close(out, z["out"], rtol=0, atol=GOLDEN_TOLERANCE)


@pytest.mark.parametrize("case", ["even", "ragged"])
def test_released_temperature_and_shared_start(case: str) -> None:
    z, options = golden(f"nystrom-{case}")
    q, k, v, landmarks = z["q"], z["k"], z["v"], options["landmarks"]
    out = nystrom(q, k, v, landmarks=landmarks, variant="released")
    torch.testing.assert_close(out, z["out_official"], rtol=0, atol=GOLDEN_TOLERANCE)
    at_root = nystrom(q, k, v, landmarks=landmarks, variant="released", scale=q.shape[-1] ** -0.5)
    torch.testing.assert_close(at_root, z["out_exact_init_global"], rtol=0, atol=GOLDEN_TOLERANCE)


def test_released_rows_depend_on_their_neighbours() -> None:
    q, k, v = heads(1, n=40)
    q, k = 3 * q, 3 * k
    for variant, least, most in (("released", 1e-4, torch.inf), ("paper", 0, 1e-12)):
        together = nystrom(q, k, v, landmarks=8, variant=variant)
        alone = torch.cat(
            [nystrom(q[i : i + 1], k[i : i + 1], v[i : i + 1], landmarks=8, variant=variant) for i in (0, 1)]
        )
        assert least <= (together - alone).abs().max() <= most


@settings(max_examples=60)
@given(data=st.data())
def test_equals_the_definition(data: st.DataObject) -> None:
    b, n = data.draw(st.integers(0, 3)), data.draw(st.integers(1, 40))
    mask = data.draw(masks(b, n)) if b else None
    q, k, v = heads(data.draw(st.integers(0, 9)), b=b, n=n)
    options = {"landmarks": data.draw(st.integers(1, 12)), "iterations": data.draw(st.integers(0, 7))}
    options |= {"key_mask": mask, "scale": data.draw(st.sampled_from([None, 0.3]))}
    torch.testing.assert_close(nystrom(q, k, v, **options), naive_nystrom(q, k, v, **options))


@pytest.mark.parametrize("filling", [1e9, torch.nan])
def test_a_padded_row_equals_its_unpadded_run(filling: float) -> None:
    """Landmarks, their number, and the softmax of a row with few tokens follow the real tokens, wherever they stand."""
    q, k, v = heads(2, b=4, n=50)
    mask = torch.ones(4, 50, dtype=torch.bool)
    mask[0, 31:] = mask[1, :17] = mask[2, 5:] = mask[3, 8:] = False
    padded = [x.masked_fill(~mask[:, None, :, None], filling) for x in (q, k, v)]
    out = nystrom(*padded, landmarks=8, key_mask=mask)
    for row in range(4):
        alone = nystrom(*(x[row : row + 1][:, :, mask[row]] for x in (q, k, v)), landmarks=8)
        torch.testing.assert_close(out[row : row + 1][:, :, mask[row]], alone)
    assert (out.masked_select(~mask[:, None, :, None]) == 0).all()
    short = [x[2:, :, :5] for x in (q, k, v)]
    torch.testing.assert_close(out[2:3, :, :5], naive_softmax(*short)[:1])


def test_few_tokens_are_softmax_attention() -> None:
    q, k, v = heads(3, n=8)
    torch.testing.assert_close(nystrom(q, k, v, landmarks=8), softmax(q, k, v))
    assert (nystrom(q, k, v, landmarks=7) - softmax(q, k, v)).abs().max() > 1e-3


def test_many_iterations_reach_the_pseudo_inverse() -> None:
    A = draw(2, 3, 6, 6, seed=4).softmax(-1)
    found = module._inverse(A, 30, "paper")
    torch.testing.assert_close(found, torch.linalg.pinv(A), rtol=1e-6, atol=1e-6)


def test_gradients() -> None:
    inputs = [x.requires_grad_() for x in heads(5, b=3, n=30)]
    mask = torch.rand(3, 30, generator=torch.Generator().manual_seed(0)) < 0.7
    mask[1, 4:] = False  # fewer tokens than landmarks
    mask[2] = False  # none at all
    for key_mask in (None, mask):
        fast, plain = (gradients(f(*inputs, landmarks=6, key_mask=key_mask), inputs) for f in (nystrom, naive_nystrom))
        torch.testing.assert_close(fast, plain)


def test_half_precision_and_memory() -> None:
    q, k, v = heads(6, n=64, d=16, e=16)
    half = nystrom(*(x.bfloat16() for x in (q, k, v)), landmarks=8)
    assert half.dtype == torch.bfloat16
    exact = nystrom(*(x.bfloat16().double() for x in (q, k, v)), landmarks=8)
    torch.testing.assert_close(half.double(), exact, rtol=0, atol=0.004)  # its own rounding; 0.011 with A⁺ in bfloat16
    x = [draw(1, 2, 2048, 32, seed=s, dtype=torch.float32) for s in (1, 2, 3)]
    assert peak_bytes(lambda: nystrom(*x, landmarks=16)) < 2 * 4 * x[0].numel()  # the result, and less than one more


def test_convolution_reaches_as_far_as_its_filter_and_ignores_padding() -> None:
    torch.manual_seed(0)
    layer = build("nystrom", width=8, heads=2, landmarks=4, convolution=3).double()
    q, k, v = heads(7, n=30)
    mask = torch.arange(30)[None].expand(2, 30) < 20
    convolved = layer.mix(q, k, v.masked_fill(~mask[:, None, :, None], torch.nan), mask)
    plain = nystrom(q, k, v, landmarks=4, key_mask=mask)
    kernel = layer.convolution.weight[:, 0, :, 0]  # h 3
    values = torch.nn.functional.pad(v * mask[:, None, :, None], (0, 0, 1, 1))
    by_hand = sum(kernel[:, tap, None, None] * values[:, :, tap : tap + 30] for tap in range(3))
    torch.testing.assert_close(convolved, plain + by_hand)
    torch.testing.assert_close(layer.naive(q, k, v, mask), convolved)
    counted = NystromAttention.parameter_count(width=8, heads=2, length=30, convolution=3)
    assert counted == sum(p.numel() for p in layer.parameters())


def test_costs_against_real_counts() -> None:
    q, k, v = heads(8, b=1, h=2, n=40, d=4, e=3)
    with pytest.MonkeyPatch.context() as patch:  # fused attention is invisible to the counter
        patch.setattr(module, "softmax", naive_softmax)
        with FlopCounterMode(display=False) as counter:
            nystrom(q, k, v, landmarks=8, iterations=5)
    sizes = {"heads": 2, "n": 40, "m": 40, "landmarks": 8}
    means = 2 * 2 * 8 * (40 + 40) * 4  # products of the definition; without a mask they are sums of views
    assert NystromAttention.mix_flops(d=4, e=3, iterations=5, **sizes) == counter.get_total_flops() + means
    assert NystromAttention.score_entries(**sizes) == 2 * (40 * 8 + 8 * 8 + 8 * 40)
    assert NystromAttention.score_entries(heads=2, n=8, m=8, landmarks=8) == 2 * 64
    assert NystromAttention.mix_flops(heads=2, n=8, m=8, d=4, e=3, landmarks=8) == 2 * 2 * 64 * 7


def test_errors_give_the_numbers() -> None:
    q, k, v = heads(9)
    with pytest.raises(ValueError, match="landmarks must be at least 1, got 0"):
        nystrom(q, k, v, landmarks=0)
    with pytest.raises(ValueError, match="iterations must be at least 0, got -1"):
        nystrom(q, k, v, landmarks=4, iterations=-1)
    with pytest.raises(ValueError, match="n = 20 and m = 19"):
        nystrom(q, k[:, :, 1:], v[:, :, 1:], landmarks=4)
    with pytest.raises(ValueError, match="convolution must be odd, so that it has a middle, got 4"):
        build("nystrom", width=8, heads=2, convolution=4)
    with pytest.raises(ValueError, match="got 'original'"):
        build("nystrom", width=8, heads=2, variant="original")
    assert "landmarks=4" in repr(build("nystrom", width=8, heads=2, landmarks=4))


def test_rows_of_few_tokens_stay_finite_however_many_iterations() -> None:
    """Their absent landmarks would make A singular, and the iteration runs away on a singular matrix in the end."""
    inputs = [x.float().requires_grad_() for x in heads(10, n=30)]
    mask = torch.ones(2, 30, dtype=torch.bool)
    mask[0, 3:] = False
    out = nystrom(*inputs, landmarks=8, iterations=80, key_mask=mask)
    assert all(gradient[0].isfinite().all() for gradient in gradients(out[:1].double(), inputs))
    torch.testing.assert_close(out[:1, :, :3], softmax(*(x[:1, :, :3] for x in inputs)))


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_no_rows_at_all(variant: str) -> None:
    assert nystrom(*heads(11, b=0), landmarks=4, variant=variant).shape == (0, 2, 20, 3)


def test_a_nan_key_is_heard_by_every_query() -> None:
    q, k, v = heads(4, n=20, e=4)
    k[0, 0, 3, 1] = torch.nan
    out = nystrom(q.float(), k.float(), v.float(), landmarks=4)
    assert out[0, 0].isnan().all()
    assert out[1].isfinite().all()
