"""Chunked prefix products against the triangle in full."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.common.prefix_sum import prefix_sum
from tests.regard.vectors import draw, gradients, heads


def triangle(q, k, v, log_weight=None):
    products = (q @ k.mT).tril()
    if log_weight is not None:
        highest = log_weight.cummax(2).values.clamp(min=torch.finfo(q.dtype).min)
        decay = (log_weight[:, :, None, :] - highest[..., None]).tril().exp()
        products = products * decay.tril()
    return products @ v


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_chunks_equal_the_triangle(data: st.DataObject) -> None:
    b, n, chunk = data.draw(st.integers(0, 2)), data.draw(st.integers(1, 50)), data.draw(st.integers(1, 60))
    q, k, v = heads(data.draw(st.integers(0, 9)), b=b, n=n)
    weight = data.draw(st.none() | st.sampled_from([1.0, 300.0]))
    log_weight = None if weight is None else weight * draw(b, 2, n, seed=5)
    if log_weight is not None and data.draw(st.booleans()):
        log_weight[:, :, : data.draw(st.integers(0, n))] = -torch.inf
    torch.testing.assert_close(prefix_sum(q, k, v, log_weight=log_weight, chunk=chunk), triangle(q, k, v, log_weight))


def test_gradients_at_several_chunks() -> None:
    inputs = [x.requires_grad_() for x in heads(1, n=23)]
    for log_weight in (None, 3 * draw(2, 2, 23, seed=2)):
        chunked = gradients(prefix_sum(*inputs, log_weight=log_weight, chunk=5), inputs)
        torch.testing.assert_close(chunked, gradients(triangle(*inputs, log_weight), inputs))


def test_a_later_weight_changes_no_earlier_row() -> None:
    q, k, v = (x.float() for x in heads(3, n=20))
    log_weight = draw(2, 2, 20, seed=4).float()
    before = prefix_sum(q, k, v, log_weight=log_weight, chunk=8)
    log_weight[:, :, 12] = 500.0
    after = prefix_sum(q, k, v, log_weight=log_weight, chunk=8)
    assert torch.equal(before[:, :, :12], after[:, :, :12])
    assert (before[:, :, 12:] != after[:, :, 12:]).any()
