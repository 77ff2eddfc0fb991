"""Linformer: a vector from plain loops, the definition over shapes and masks, softmax attention when nothing is projected away, errors."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from regard.common.patterns import Pattern
from regard.mechanisms.linformer import LinformerAttention, linformer, naive_linformer
from regard.mechanisms.softmax import softmax
from regard.registry import build
from tests.regard.vectors import GOLDEN_TOLERANCE, draw, golden, gradients, heads, masks


@pytest.mark.parametrize("function", [linformer, naive_linformer])
def test_golden(function) -> None:
    arrays, _ = golden("linformer-cross-mask")
    projections = {"key_projection": arrays["E"], "value_projection": arrays["F"]}
    out = function(arrays["q"], arrays["k"], arrays["v"], key_mask=arrays["key_mask"], **projections)
    torch.testing.assert_close(out, arrays["out"], rtol=0, atol=GOLDEN_TOLERANCE)


@settings(max_examples=25)
@given(st.integers(1, 6), st.integers(1, 8), st.integers(1, 4), st.data())
def test_values_and_gradients_equal_the_definition(n: int, m: int, rank: int, data: st.DataObject) -> None:
    key_mask = data.draw(masks(2, m))
    q, k, v = heads(n, n=n, m=m)
    if key_mask is not None:
        k, v = (x.masked_fill(~key_mask[:, None, :, None], torch.nan) for x in (k, v))
    inputs = [x.requires_grad_() for x in (q, k, v, draw(rank, 9, seed=4), draw(rank, 9, seed=5))]
    fast, plain = (
        f(*inputs[:3], key_projection=inputs[3], value_projection=inputs[4], key_mask=key_mask)
        for f in (linformer, naive_linformer)
    )
    torch.testing.assert_close(fast, plain)
    for ours, theirs in zip(gradients(fast, inputs), gradients(plain, inputs), strict=True):
        assert ours.isfinite().all()
        torch.testing.assert_close(ours, theirs)


def test_identities_are_softmax_attention() -> None:
    q, k, v = heads(0, n=5, m=7)
    identity = torch.eye(7, dtype=q.dtype)
    out = linformer(q, k, v, key_projection=identity, value_projection=identity, scale=0.3)
    torch.testing.assert_close(out, softmax(q, k, v, scale=0.3))


def test_shorter_inputs_take_the_first_columns_and_padding_at_the_end_changes_nothing() -> None:
    layer = build("linformer", width=8, heads=2, length=10, rank=3).double()
    x, mask = draw(2, 9, 8, seed=0), torch.arange(9) < torch.tensor([[9], [6]])
    torch.testing.assert_close(layer(x, x_mask=mask)[1, :6], layer(x[1:, :6])[0])
    with torch.no_grad():
        layer.key_projection[:, 9:] = torch.nan
        layer.value_projection[:, 9:] = torch.nan
    assert layer(x).isfinite().all()


def test_costs() -> None:
    q, k, v = heads(0, b=1, n=20, m=30, d=4, e=6)
    with FlopCounterMode(display=False) as counter:
        linformer(q, k, v, key_projection=draw(5, 40, seed=1), value_projection=draw(5, 40, seed=2))
    assert counter.get_total_flops() == LinformerAttention.mix_flops(heads=2, n=20, m=30, d=4, e=6, rank=5)
    assert LinformerAttention.parameter_count(width=512, heads=8, length=512, rank=128) == 4 * 512 * 513 + 2 * 128 * 512
    assert LinformerAttention.score_entries(heads=2, n=20, m=30, rank=5) == 2 * 20 * 5


def test_errors_give_the_numbers() -> None:
    q, k, v = heads(0, n=5, m=7)
    E = draw(3, 6, seed=1)
    with pytest.raises(ValueError, match=r"Linformer of length 6 cannot take 7 tokens: build it with length=7"):
        linformer(q, k, v, key_projection=E, value_projection=E)
    with pytest.raises(ValueError, match=r"\(rank, length\), both alike, got \(3, 6\) and \(3, 5\)"):
        linformer(q, k, v, key_projection=E, value_projection=E[:, 1:])
    with pytest.raises(ValueError, match="rank must be at least 1, got 0"):
        build("linformer", width=8, heads=2, length=4, rank=0)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("cross", [False, True])
def test_keys_that_are_never_made_are_the_same_keys(cross: bool, bias: bool) -> None:
    """The layer compresses its input and maps c rows; whoever listens to `mix` is given all m keys."""
    pattern: Pattern = "noncausal_cross" if cross else "noncausal_self"
    layer = build("linformer", width=8, heads=2, length=40, rank=5, pattern=pattern, bias=bias).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x, z = draw(2, 30, 8, seed=1).requires_grad_(), draw(2, 40 if cross else 30, 8, seed=2).requires_grad_()
    mask = torch.rand(z.shape[:2], generator=torch.Generator().manual_seed(0)) < 0.7
    mask[1] = False
    targets = [x, *([z] if cross else []), *layer.parameters()]

    def through() -> tuple[Tensor, tuple[Tensor, ...]]:
        given = {"context": z, "context_mask": mask} if cross else {"x_mask": mask}
        out = layer(x, **given)
        return out, gradients(out, targets)

    short, rows = through(), []
    layer.mix = lambda q, k, v, key_mask: (rows.append(k.shape[2]), type(layer).mix(layer, q, k, v, key_mask))[1]
    long = through()
    assert rows == [z.shape[1]]
    torch.testing.assert_close(short, long)
