"""cosFormer: the golden vectors, lengths of real tokens, and a horizon instead of the future's length."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from regard.mechanisms.cosformer import CosformerAttention, cosformer, naive_cosformer
from regard.registry import build
from tests.regard.vectors import GOLDEN_TOLERANCE, draw, golden, gradients, heads, masks, peak_bytes


@pytest.mark.parametrize("case", ["self", "cross", "causal"])
@pytest.mark.parametrize("function", [cosformer, naive_cosformer])
def test_golden(case: str, function) -> None:
    z, options = golden(f"cosformer-{case}")
    out = function(z["q"], z["k"], z["v"], causal=case == "causal")
    torch.testing.assert_close(out, z["out"], rtol=0, atol=GOLDEN_TOLERANCE)
    given_length = function(z["q"], z["k"], z["v"], causal=case == "causal", horizon=options["length_in_cosine"])
    torch.testing.assert_close(given_length, out)


def test_two_tokens_by_hand() -> None:
    one, v = torch.ones(1, 1, 2, 1, dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    far = math.cos(math.pi / 4)  # one step, M = 2
    out = cosformer(one, one, v.reshape(1, 1, 2, 1)).flatten().tolist()
    assert out == pytest.approx([far / (1 + far), 1 / (1 + far)])
    assert cosformer(-one, one, v.reshape(1, 1, 2, 1)).flatten().tolist() == [0, 0]  # a query wholly negative


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_equals_the_definition(data: st.DataObject) -> None:
    b, n, causal = data.draw(st.integers(0, 2)), data.draw(st.integers(1, 140)), data.draw(st.booleans())
    m = n if causal else data.draw(st.integers(1, 40))
    options = {"causal": causal, "key_mask": data.draw(masks(b, m)) if b and m < 50 else None}
    options["query_mask"] = data.draw(masks(b, n)) if b and n < 50 else None
    options["horizon"] = data.draw(st.sampled_from([None, 150]))
    q, k, v = heads(data.draw(st.integers(0, 9)), b=b, n=n, m=m)
    torch.testing.assert_close(cosformer(q, k, v, **options), naive_cosformer(q, k, v, **options))


@pytest.mark.parametrize("filling", [1e9, torch.nan])
@pytest.mark.parametrize("causal", [False, True])
def test_a_padded_row_equals_its_unpadded_run(filling: float, causal: bool) -> None:
    q, k, v = heads(2, b=3, n=70)
    mask = torch.ones(3, 70, dtype=torch.bool)
    mask[0, 50:] = mask[1, :20] = mask[2, 10:30] = False
    padded = [x.masked_fill(~mask[:, None, :, None], filling) for x in (q, k, v)]
    out = cosformer(*padded, causal=causal, key_mask=mask)
    for row in range(3):
        alone = cosformer(*(x[row : row + 1][:, :, mask[row]] for x in (q, k, v)), causal=causal)
        torch.testing.assert_close(out[row : row + 1][:, :, mask[row]], alone)


@pytest.mark.parametrize("lengths", [(20, 20), (20, 9), (12, 20)])
def test_a_padded_row_of_cross_attention(lengths: tuple[int, int]) -> None:
    """The cosine length is the larger number of real tokens, of the target or of the source."""
    n, m = lengths
    torch.manual_seed(0)
    layer = build("cosformer", width=8, heads=2, pattern="noncausal_cross").double()
    x, z = draw(1, 20, 8, seed=1), draw(1, 20, 8, seed=2)
    x_mask, z_mask = torch.arange(20)[None] < n, torch.arange(20)[None] < m
    padded = layer(x, context=z, x_mask=x_mask, context_mask=z_mask)
    torch.testing.assert_close(padded[:, :n], layer(x[:, :n], context=z[:, :m]))


def test_without_a_query_mask_equal_lengths_are_self_attention() -> None:
    q, k, v = heads(3, n=12)
    mask = torch.arange(12)[None].expand(2, 12) < 7
    everyone = torch.ones_like(mask)
    inside = cosformer(q, k, v, key_mask=mask)
    assert torch.equal(inside, cosformer(q, k, v, key_mask=mask, query_mask=mask))
    across = cosformer(q, k, v, key_mask=mask, query_mask=everyone)
    assert (across - inside).abs().max() > 1e-3
    layer = build("cosformer", width=8, heads=2, pattern="noncausal_cross")
    assert torch.equal(layer.mix(q, k, v, mask), across)


def test_a_causal_layer_does_not_know_how_long_the_future_is() -> None:
    torch.manual_seed(0)
    layer = build("cosformer", width=8, heads=2, pattern="causal_self", horizon=40).double()
    x = draw(2, 40, 8, seed=4)
    torch.testing.assert_close(layer(x[:, :15]), layer(x)[:, :15])
    q, k, v = heads(4, n=40)
    of_n = cosformer(q[:, :, :15], k[:, :, :15], v[:, :, :15], causal=True)
    assert (of_n - cosformer(q, k, v, causal=True)[:, :, :15]).abs().max() > 1e-3  # M = n does
    assert build("cosformer", width=8, heads=2, pattern="causal_self").horizon == 8192
    assert build("cosformer", width=8, heads=2).horizon is None


def test_gradients() -> None:
    mask = torch.rand(2, 70, generator=torch.Generator().manual_seed(0)) < 0.7
    mask[1] = False
    inputs = [x.requires_grad_() for x in heads(5, n=70)]
    for options in ({}, {"causal": True}, {"key_mask": mask}, {"causal": True, "key_mask": mask, "horizon": 99}):
        fast, plain = (gradients(f(*inputs, **options), inputs) for f in (cosformer, naive_cosformer))
        torch.testing.assert_close(fast, plain)


def test_half_precision_and_memory() -> None:
    q, k, v = heads(6, n=500, d=16, e=16)
    for causal in (False, True):
        half = cosformer(*(x.bfloat16() for x in (q, k, v)), causal=causal)
        assert half.dtype == torch.bfloat16
        exact = cosformer(*(x.bfloat16().double() for x in (q, k, v)), causal=causal)
        torch.testing.assert_close(half.double(), exact, rtol=0.01, atol=1e-4)
    x = [draw(1, 1, 4096, 32, seed=s, dtype=torch.float32) for s in (1, 2, 3)]
    for causal in (False, True):
        peak = peak_bytes(lambda causal=causal: cosformer(*x, causal=causal))
        assert peak < 4 * 4096 * 64 * 32 * 0.4  # 4 bytes times n 2d e


def test_costs_against_real_counts() -> None:
    q, k, v = heads(7, b=1, h=2, n=30, m=20, d=4, e=3)
    with FlopCounterMode(display=False) as counter:
        cosformer(q, k, v)
    assert CosformerAttention.mix_flops(heads=2, n=30, m=20, d=4, e=3) == counter.get_total_flops()
    assert CosformerAttention.score_entries(heads=2, n=30, m=20) == 0


def test_errors_give_the_numbers() -> None:
    q, k, v = heads(8)
    with pytest.raises(ValueError, match="got 19 for n = 20 and m = 20"):
        cosformer(q, k, v, horizon=19)
    with pytest.raises(ValueError, match="n = 20 and m = 19"):
        cosformer(q, k[:, :, 1:], v[:, :, 1:], causal=True)
    with pytest.raises(ValueError, match=r"query_mask must be \(batch, length\) = \(2, 20\), got \(2, 19\)"):
        cosformer(q, k, v, query_mask=torch.ones(2, 19, dtype=torch.bool))
    with pytest.raises(ValueError, match="horizon must be at least 1, got 0"):
        build("cosformer", width=8, heads=2, horizon=0)
    layer = build("cosformer", width=8, heads=2, pattern="causal_self", horizon=16)
    with pytest.raises(ValueError, match="got 16 for n = 17 and m = 17"):
        layer(torch.zeros(1, 17, 8))
    assert "horizon=16" in repr(layer)
