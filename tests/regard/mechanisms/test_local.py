"""Local attention: the golden vectors, the window by hand, masks, and what the release does with them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.mechanisms.local import LocalAttention, local, naive_local
from regard.mechanisms.local.blocks import blocks
from regard.mechanisms.softmax import softmax
from regard.registry import build
from tests.regard.vectors import GOLDEN_TOLERANCE, draw, golden, gradients, heads, masks, peak_bytes


@pytest.mark.parametrize("case", ["self", "causal", "mask"])
@pytest.mark.parametrize("function", [local, naive_local])
def test_golden(case: str, function) -> None:
    z, options = golden(f"local-{case}")
    mask = z.get("key_mask")
    out = function(z["q"], z["k"], z["v"], window=options["window"], causal=case == "causal", key_mask=mask)
    if mask is not None:
        out = out * mask[:, None, :, None]
    torch.testing.assert_close(out, z["out"], rtol=0, atol=GOLDEN_TOLERANCE)


def test_released_mask_is_outside_and_padded() -> None:
    z, options = golden("local-mask")
    q, k, v, mask = z["q"], z["k"], z["v"], z["key_mask"]
    real = mask[:, None, :, None].expand_as(q)
    out = local(q, k, v, window=options["window"], key_mask=mask, variant="released")
    torch.testing.assert_close(out[real], z["out_official"][real], rtol=0, atol=GOLDEN_TOLERANCE)
    other = v.masked_fill(~real, 3.0)  # other padding
    moved = local(q, k, other, window=options["window"], key_mask=mask, variant="released") - out
    assert moved[real].abs().max() > 0.5
    kept = local(q, k, v, window=options["window"], key_mask=mask)
    again = local(q, k, other, window=options["window"], key_mask=mask)
    torch.testing.assert_close(again[real], kept[real], rtol=0, atol=0)


def test_released_without_a_mask_is_the_definition() -> None:
    q, k, v = heads(1)
    torch.testing.assert_close(local(q, k, v, window=3, variant="released"), local(q, k, v, window=3))


def test_window_by_hand() -> None:
    zero, v = torch.zeros(1, 1, 5, 2), torch.tensor([0.0, 3.0, 6.0, 9.0, 12.0]).reshape(1, 1, 5, 1)
    both = local(zero, zero, v, window=1).flatten().tolist()
    assert both == pytest.approx([1.5, 3, 6, 9, 10.5])
    past = local(zero, zero, v, window=2, causal=True).flatten().tolist()
    assert past == pytest.approx([0, 1.5, 4.5, 7.5, 10.5])


@settings(max_examples=60)
@given(data=st.data())
def test_blocks_equal_the_definition(data: st.DataObject) -> None:
    b, n = data.draw(st.integers(0, 3)), data.draw(st.integers(1, 90))
    window, causal = data.draw(st.integers(1, 50)), data.draw(st.booleans())
    mask = data.draw(masks(b, n)) if b else None
    q, k, v = heads(data.draw(st.integers(0, 9)), b=b, n=n)
    scale = data.draw(st.sampled_from([None, 0.3]))
    options = {"window": window, "causal": causal, "key_mask": mask, "scale": scale}
    torch.testing.assert_close(local(q, k, v, **options), naive_local(q, k, v, **options))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("filling", [1e9, torch.nan])
def test_padding_never_leaks(causal: bool, filling: float) -> None:
    q, k, v = heads(3, n=70)
    mask = torch.ones(2, 70, dtype=torch.bool)
    mask[0, 41:] = mask[1, :9] = False
    padded = [x.masked_fill(~mask[:, None, :, None], filling) for x in (q, k, v)]
    out = local(*padded, window=4, causal=causal, key_mask=mask)
    alone = [x[:1, :, :41] for x in (q, k, v)], [x[1:, :, 9:] for x in (q, k, v)]
    torch.testing.assert_close(out[:1, :, :41], local(*alone[0], window=4, causal=causal))
    torch.testing.assert_close(out[1:, :, 9:], local(*alone[1], window=4, causal=causal))


@pytest.mark.parametrize("by_token", [False, True])
@pytest.mark.parametrize("n", [4000, 4001])
def test_parts_and_threads_and_layouts_change_nothing(n: int, by_token: bool) -> None:
    """Several parts per sequence, whole blocks and a rest, two threads, heads beside each other as layers hand them over."""
    q, k, v = heads(8, b=2, h=3, n=n, d=16, e=16)
    if by_token:
        q, k, v = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v))
    mask = torch.rand(2, n, generator=torch.Generator().manual_seed(1)) < 0.9
    inputs = [x.requires_grad_() for x in (q, k, v)]
    threads = torch.get_num_threads()
    for window, causal, key_mask in ((15, False, None), (16, True, mask), (70, False, mask)):
        before, after = (window - 1, 0) if causal else (window, window)
        expected = blocks(q, k, v, before, after, key_mask, q.shape[-1] ** -0.5)
        theirs = gradients(expected, inputs)
        for number in (1, 2):
            try:
                torch.set_num_threads(number)
                out = local(*inputs, window=window, causal=causal, key_mask=key_mask)
                ours = gradients(out, inputs)
                assert torch.get_num_threads() == number
            finally:
                torch.set_num_threads(threads)
            torch.testing.assert_close(out, expected)
            torch.testing.assert_close(ours, theirs)


def test_what_is_not_finite_reaches_the_windows_that_hold_it_and_no_others() -> None:
    q, k, v = heads(9, b=1, h=2, n=100)
    for x, value in ((q, torch.nan), (k, torch.inf), (v, -torch.inf)):
        inputs = [torch.where(y == y[0, 1, 40, 0], value, y) if y is x else y for y in (q, k, v)]
        out = local(*inputs, window=3)
        first, last = (40, 41) if x is q else (37, 44)
        reached = torch.zeros(2, 100, dtype=torch.bool)
        reached[1, first:last] = True
        assert out.isnan().any(-1)[0].equal(reached)
        torch.testing.assert_close(out[0][~reached], local(q, k, v, window=3)[0][~reached])


def test_rows_of_a_batch_do_not_meet_at_their_ends() -> None:
    q, k, v = heads(4, n=64)
    out = local(q, k, v, window=32)
    for x in (k, v):
        x[1] = 100.0
    torch.testing.assert_close(local(q, k, v, window=32)[0], out[0], rtol=0, atol=0)


def test_gradients() -> None:
    inputs = [x.requires_grad_() for x in heads(5, n=45)]
    mask = torch.rand(2, 45, generator=torch.Generator().manual_seed(0)) < 0.7
    for causal in (False, True):
        options = {"window": 6, "causal": causal, "key_mask": mask}
        fast, plain = (gradients(f(*inputs, **options), inputs) for f in (local, naive_local))
        torch.testing.assert_close(fast, plain)


def test_a_window_as_long_as_the_sequence_is_softmax() -> None:
    q, k, v = heads(6, n=33)
    torch.testing.assert_close(local(q, k, v, window=32), softmax(q, k, v))
    torch.testing.assert_close(local(q, k, v, window=33, causal=True), softmax(q, k, v, causal=True))
    shorter = local(q, k, v, window=32, causal=True) - softmax(q, k, v, causal=True)
    assert shorter[:, :, -1].abs().max() > 1e-4
    assert shorter[:, :, :-1].abs().max() < 1e-12


def test_strided_heads_and_half_precision() -> None:
    q, k, v = (draw(2, 50, 8, seed=s).unflatten(-1, (2, 4)).transpose(1, 2) for s in (1, 2, 3))
    expected = local(q.contiguous(), k.contiguous(), v.contiguous(), window=3)
    torch.testing.assert_close(local(q, k, v, window=3), expected)
    half = local(*(x.bfloat16() for x in (q, k, v)), window=3)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), expected, rtol=0, atol=0.05)


def test_memory_is_that_of_a_few_copies() -> None:
    x = [draw(1, 2048, 64, seed=s, dtype=torch.float32).unflatten(-1, (2, 32)).transpose(1, 2) for s in (1, 2, 3)]
    mask = torch.arange(2048)[None] < 2000
    all_four = 4 * x[0].numel() * 4
    for options in ({}, {"causal": True}, {"key_mask": mask}):
        assert peak_bytes(lambda options=options: local(*x, window=15, **options)) < 3 * all_four


def test_costs() -> None:
    assert LocalAttention.score_entries(heads=2, n=100, m=100, window=7) == 2 * 100 * 15
    assert LocalAttention.score_entries(heads=2, n=10, m=10, window=7) == 2 * 10 * 10
    assert LocalAttention.score_entries(heads=2, n=100, m=100, window=7, pattern="causal_self") == 2 * 100 * 7
    assert LocalAttention.mix_flops(heads=2, n=100, m=100, d=4, e=8, window=7) == 2 * 2 * 100 * 15 * 12


def test_errors_give_the_numbers() -> None:
    q, k, v = heads(7)
    with pytest.raises(ValueError, match="window must be at least 1, got 0"):
        local(q, k, v, window=0)
    with pytest.raises(TypeError, match=r"window must be an integer, got 2\.5"):
        local(q, k, v, window=2.5)
    with pytest.raises(ValueError, match="n = 20 and m = 19"):
        local(q, k[:, :, 1:], v[:, :, 1:], window=2)
    with pytest.raises(ValueError, match="'paper', 'released', got 'fixed'"):
        local(q, k, v, window=2, variant="fixed")
    with pytest.raises(ValueError, match="window must be at least 1, got -1"):
        build("local", width=8, heads=2, window=-1)
    assert "window=4" in repr(build("local", width=8, heads=2, window=4))
