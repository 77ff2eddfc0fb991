"""Linear attention a segment at a time: longer than a segment, it is still the definition, and a NaN is carried on."""

from functools import partial
from typing import Any

import pytest
import torch

from regard.mechanisms.cosformer import cosformer, naive_cosformer
from regard.mechanisms.performer import naive_performer, performer
from tests.regard.vectors import draw, gradients, heads, peak_bytes

N = 1100  # more than a segment, and no multiple of a chunk
W = draw(6, 4, seed=9)
PAIRS = [
    pytest.param(partial(performer, projection=W), partial(naive_performer, projection=W), id="performer"),
    pytest.param(cosformer, naive_cosformer, id="cosformer"),
]


@pytest.mark.parametrize(("fast", "naive"), PAIRS)
@pytest.mark.parametrize("masked", [False, True])
def test_longer_than_a_segment(fast: Any, naive: Any, masked: bool) -> None:
    inputs = [x.requires_grad_() for x in heads(1, h=1, n=N)]
    mask = None
    if masked:
        mask = torch.rand(2, N, generator=torch.Generator().manual_seed(0)) < 0.7
        mask[1, :1050] = False  # a first segment with nothing in it
    out, expected = (function(*inputs, causal=True, key_mask=mask) for function in (fast, naive))
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(gradients(out, inputs), gradients(expected, inputs))


@pytest.mark.parametrize(("fast", "naive"), PAIRS)
@pytest.mark.parametrize("which", [1, 2])
def test_a_nan_reaches_the_segments_after_its_own_and_no_row_before(fast: Any, naive: Any, which: int) -> None:
    inputs = list(heads(1, n=N))
    clean = fast(*inputs, causal=True)
    inputs[which][1, 0, 20, 2] = torch.nan
    out = fast(*inputs, causal=True)
    torch.testing.assert_close(out[0], clean[0])
    torch.testing.assert_close(out[1, 1], clean[1, 1])
    torch.testing.assert_close(out[1, 0, :20], clean[1, 0, :20])
    spoilt = out[1, 0, 20:] if which == 1 else out[1, 0, 20:, 2]
    assert spoilt.isnan().all()


def test_a_large_key_in_a_later_segment_changes_no_bit_before() -> None:
    q, k, v = (x.float() for x in heads(4, n=N))
    out = performer(q, k, v, projection=W.float(), causal=True)
    k[:, :, 1030:] *= 20
    assert torch.equal(performer(q, k, v, projection=W.float(), causal=True)[:, :, :1030], out[:, :, :1030])


@pytest.mark.parametrize(("fast", "naive"), PAIRS)
def test_memory_is_that_of_a_segment(fast: Any, naive: Any) -> None:
    n = 16_384
    q, k, v = heads(2, b=1, h=1, n=n, e=4)
    assert peak_bytes(lambda: fast(q, k, v, causal=True)) < 2 * 8 * (4 * n * 4)  # 2 × (q + k + v + out)
