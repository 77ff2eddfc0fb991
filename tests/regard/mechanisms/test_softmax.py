"""Softmax attention: golden vectors, hand-worked rows, masks, gradients."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard.mechanisms.softmax import naive_softmax, softmax
from tests.regard.vectors import GOLDEN_TOLERANCE, draw, golden, gradients, heads, masks, peak_bytes


@pytest.mark.parametrize("case", ["causal", "cross", "mask", "cross-mask"])
@pytest.mark.parametrize("function", [softmax, naive_softmax])
def test_golden(case: str, function) -> None:
    arrays, _ = golden(f"softmax-{case}")
    options = {"causal": case == "causal", "key_mask": arrays.get("key_mask"), "scale": arrays["scale"].item()}
    out = function(arrays["q"], arrays["k"], arrays["v"], **options)
    torch.testing.assert_close(out, arrays["out"], rtol=0, atol=GOLDEN_TOLERANCE)


@pytest.mark.parametrize("function", [softmax, naive_softmax])
def test_by_hand(function) -> None:
    q = torch.tensor([[[[1.0]]]])
    k = torch.log(torch.tensor([[[[1.0], [3.0]]]]))
    v = torch.tensor([[[[4.0], [8.0]]]])
    assert function(q, k, v).item() == pytest.approx(4 / 4 + 8 * 3 / 4)
    assert function(q, k, v, scale=2).item() == pytest.approx(4 / 10 + 8 * 9 / 10)
    assert function(q, k, v, key_mask=torch.tensor([[True, False]])).item() == pytest.approx(4)
    assert function(q, k, v, key_mask=torch.tensor([[False, False]])).item() == 0


def test_causal_wants_as_many_queries_as_keys() -> None:
    with pytest.raises(ValueError, match="as many queries as keys, got n = 3 and m = 5"):
        softmax(*heads(0, n=3, m=5), causal=True)


@settings(max_examples=40)
@given(st.integers(1, 6), st.integers(1, 6), st.booleans(), st.data())
def test_values_and_gradients_equal_the_definition(n: int, m: int, causal: bool, data: st.DataObject) -> None:
    m = n if causal else m
    key_mask: Tensor | None = data.draw(masks(2, m))
    q, k, v = heads(n, n=n, m=m)
    if key_mask is not None:
        k, v = (x.masked_fill(~key_mask[:, None, :, None], torch.nan) for x in (k, v))
    inputs = [x.requires_grad_() for x in (q, k, v)]
    fast, plain = (f(*inputs, causal=causal, key_mask=key_mask) for f in (softmax, naive_softmax))
    torch.testing.assert_close(fast, plain)
    for ours, theirs in zip(gradients(fast, inputs), gradients(plain, inputs), strict=True):
        assert ours.isfinite().all()
        torch.testing.assert_close(ours, theirs)


def test_an_unbatched_input_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"must be \(batch, heads, length, head width\)"):
        softmax(*(draw(3, 4, seed=i) for i in range(3)))


@pytest.mark.parametrize("causal", [False, True])
def test_a_spoilt_query_or_key_says_so(causal: bool) -> None:
    """torch's CPU kernel gives 0 to a query whose scores are NaN: an error that nobody would see."""
    q, k, v = (draw(1, 2, 6, 4, seed=i, dtype=torch.float32).requires_grad_() for i in range(3))
    bad_q, bad_k = q.detach().clone(), k.detach().clone()
    bad_q[0, 0, 2, 1] = bad_k[0, 0, 3, 1] = torch.nan
    out = softmax(bad_q, k, v, causal=causal)
    assert out[0, 0, 2].isnan().all()
    assert out[0, 0, [0, 1, 3, 4, 5]].isfinite().all()
    spoilt = softmax(q, bad_k, v, causal=causal)
    assert spoilt[0, 0, 3:].isnan().all()
    assert spoilt[0, 0, :3].isfinite().all() == causal
    assert spoilt[0, 1].isfinite().all()
    if causal:  # and the past learns from itself alone
        spoilt[0, 0, :3].sum().backward()
        assert all(x.grad.isfinite().all() for x in (q, v))


@pytest.mark.parametrize("causal", [False, True])
def test_what_is_finite_is_not_copied_to_contain_it(causal: bool) -> None:
    q, k, v = (draw(1, 2, 1024, 32, seed=i, dtype=torch.float32) for i in range(3))
    fused = peak_bytes(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=causal))
    assert peak_bytes(lambda: softmax(q, k, v, causal=causal)) < 1.01 * fused + 1024
