"""Optimised, Efficient and Super: golden vectors, what equals what, and the traps of W^A."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard import cost
from regard.mechanisms.super import naive_super_values, super_values
from regard.registry import build
from tests.regard.vectors import GOLDEN_TOLERANCE, draw, golden, gradients, masks

CASES = {"self": "noncausal_self", "causal": "causal_self", "cross": "noncausal_cross"}
MATRICES = {"W_q": "query.weight", "W_k": "key.weight", "W_o": "output.weight"}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["optimised", "efficient", "super"])
def test_golden(name: str, case: str) -> None:
    arrays, options = golden(f"{name}-{case}")
    source = arrays.get("x_kv", arrays.get("x"))
    assert source is not None
    length = {"length": source.shape[1]} if name == "super" else {}
    layer = build(name, width=32, heads=options["heads"], pattern=CASES[case], bias=False, **length)
    state = {ours: arrays[theirs].T for theirs, ours in MATRICES.items() if theirs in arrays}
    if name == "super":
        state["mixing.weight"] = arrays["W_A"]
    layer.load_state_dict(state)
    out = layer(arrays["x"]) if case != "cross" else layer(arrays["x_q"], arrays["x_kv"])
    torch.testing.assert_close(out, arrays["out"], rtol=0, atol=GOLDEN_TOLERANCE)


def merged(name: str, heads: int) -> tuple[Tensor, Tensor]:
    """Standard attention, and `name` with W^Q ← W^Q (W^K)ᵀ (Efficient alone) and W^O ← W^V W^O, bias-free."""
    torch.manual_seed(0)
    standard = build("softmax", width=12, heads=heads, bias=False).double()
    layer = build(name, width=12, heads=heads, bias=False).double()
    W = {each: getattr(standard, each).weight.T for each in standard.maps}  # row-vector convention: Q = x W
    state = {"output.weight": (W["value"] @ W["output"]).T}
    if name == "efficient":
        state["query.weight"] = (W["query"] @ W["key"].T).T
    else:
        state |= {"query.weight": W["query"].T, "key.weight": W["key"].T}
    layer.load_state_dict(state)
    x = draw(2, 7, 12, seed=1)
    return standard(x), layer(x)


@pytest.mark.parametrize("name", ["optimised", "efficient"])
def test_one_head_is_standard_attention_with_merged_maps(name: str) -> None:
    standard, ours = merged(name, heads=1)
    torch.testing.assert_close(ours, standard, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["optimised", "efficient"])
def test_more_heads_are_not(name: str) -> None:
    standard, ours = merged(name, heads=3)
    assert (ours - standard).abs().max() > 0.01


def test_optimised_equals_standard_where_the_input_absorbs_the_basis() -> None:
    """On inputs x W^V with W^{Q,K} ← (W^V)⁻¹ W^{Q,K} Optimised is Standard, for any number of heads."""
    torch.manual_seed(0)
    standard = build("softmax", width=12, heads=3, bias=False).double()
    layer = build("optimised", width=12, heads=3, bias=False).double()
    W = {each: getattr(standard, each).weight.T for each in standard.maps}
    inverse = W["value"].inverse()
    state = {f"{each}.weight": (inverse @ W[each]).T for each in ("query", "key")}
    layer.load_state_dict({**state, "output.weight": W["output"].T})
    x = draw(2, 7, 12, seed=1)
    torch.testing.assert_close(layer(x @ W["value"]), standard(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("pattern", ["noncausal_self", "causal_self", "noncausal_cross", "causal_cross"])
def test_super_with_the_identity_is_efficient(pattern: Any) -> None:
    torch.manual_seed(0)
    layer = build("super", width=12, heads=3, pattern=pattern, length=9).double()
    other = build("efficient", width=12, heads=3, pattern=pattern).double()
    layer.load_state_dict({**other.state_dict(), "mixing.weight": torch.eye(9), "mixing.bias": torch.zeros(9)})
    x = (draw(2, 7, 12, seed=1), *([draw(2, 9, 12, seed=2)] if layer.cross else []))
    torch.testing.assert_close(layer(*x), other(*x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("junk", [torch.nan, torch.inf, 1e9])
def test_padding_trap(junk: float) -> None:
    """The mask of the scores comes too late: W^A would mix padded values into real ones."""
    torch.manual_seed(0)
    layer = build("super", width=8, heads=2, length=10).double()
    with torch.no_grad():
        layer.mixing.bias.copy_(draw(10, seed=3))
    x, mask = draw(2, 7, 8, seed=1), torch.ones(2, 7, dtype=torch.bool)
    mask[1, 4:] = False
    out = layer(x.masked_fill(~mask[:, :, None], junk), x_mask=mask)
    torch.testing.assert_close(out[1, :4], layer(x[1:, :4])[0], rtol=0, atol=1e-12)
    v = x.unflatten(2, (2, 4)).transpose(1, 2)  # the function by itself, without the layer's own zeroing
    options = {"weight": layer.mixing.weight, "bias": layer.mixing.bias}
    mixed = super_values(v.masked_fill(~mask[:, None, :, None], junk), **options, key_mask=mask)
    torch.testing.assert_close(mixed[1:, :, :4], super_values(v[1:, :, :4], **options), rtol=0, atol=1e-12)


def test_causal_does_not_leak_even_through_a_full_matrix() -> None:
    torch.manual_seed(0)
    layer = build("super", width=8, heads=2, pattern="causal_self", length=10).double()
    assert layer.mixing.weight.triu(1).abs().min() < layer.mixing.weight.triu(1).abs().max()  # it is full
    x = draw(1, 10, 8, seed=1)
    changed = x.clone()
    changed[:, 6:] += 1
    torch.testing.assert_close(layer(changed)[:, :6], layer(x)[:, :6], rtol=0, atol=0)
    assert (layer(changed)[:, 6:] - layer(x)[:, 6:]).abs().min() > 0


def test_causal_cross_sees_the_source_whole() -> None:
    layer = build("super", width=8, heads=2, pattern="causal_cross", length=10).double()
    x, z = draw(1, 3, 8, seed=1), draw(1, 10, 8, seed=2)
    later = z.clone()
    later[:, 9] += 1
    assert (layer(x, later)[:, 0] - layer(x, z)[:, 0]).abs().max() > 0


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.booleans(), st.booleans(), st.data())
def test_values_and_gradients_equal_the_definition(m: int, causal: bool, biased: bool, data: st.DataObject) -> None:
    key_mask = data.draw(masks(2, m))
    v, weight, bias = draw(2, 3, m, 4, seed=0), draw(6, 6, seed=1), draw(6, seed=2)
    if key_mask is not None:
        v = v.masked_fill(~key_mask[:, None, :, None], torch.nan)
    inputs = [x.requires_grad_() for x in ((v, weight, bias) if biased else (v, weight))]
    options: dict[str, Any] = {
        "weight": weight,
        "bias": bias if biased else None,
        "causal": causal,
        "key_mask": key_mask,
    }
    fast, plain = super_values(v, **options), naive_super_values(v, **options)
    torch.testing.assert_close(fast, plain)
    for ours, theirs in zip(gradients(fast, inputs), gradients(plain, inputs), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_bias_is_one_number_a_token() -> None:
    v = torch.zeros(1, 1, 2, 3)
    mixed = super_values(v, weight=torch.eye(4), bias=torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert mixed.tolist() == [[[[1, 1, 1], [2, 2, 2]]]]


def test_too_long_and_malformed() -> None:
    with pytest.raises(ValueError, match=r"length 8 cannot take 9 tokens: build it with length=9"):
        build("super", width=4, heads=2, length=8)(torch.zeros(1, 9, 4))
    with pytest.raises(ValueError, match="length must be at least 1, got 0"):
        build("super", width=4, heads=2, length=0)
    v = torch.zeros(1, 1, 3, 2)
    with pytest.raises(ValueError, match=r"must be square, got \(3, 4\)"):
        super_values(v, weight=torch.zeros(3, 4))
    with pytest.raises(ValueError, match=r"bias of Super attention must be \(3,\), as its weight, got \(2,\)"):
        super_values(v, weight=torch.eye(3), bias=torch.zeros(2))
    with pytest.raises(TypeError, match="key_mask must be boolean"):
        super_values(v, weight=torch.eye(3), key_mask=torch.ones(1, 3))
    with pytest.raises(ValueError, match=r"must be \(batch, heads, length, width\), got \(3, 2\)"):
        super_values(v[0, 0], weight=torch.eye(3))


def test_the_count_of_the_papers_imdb_layer() -> None:
    """w = l = 32, biases on all maps, that of W^A among them: 3,168."""
    layer = build("super", width=32, heads=4, length=32)
    assert sum(p.numel() for p in layer.parameters()) == 3168
    assert (layer.mixing.weight.shape, layer.mixing.bias.shape) == ((32, 32), (32,))
    assert build("super", width=32, heads=4, length=32, bias=False).mixing.bias is None


@pytest.mark.parametrize("width", [64, 100, 256])
def test_break_even_lengths(width: int) -> None:
    """Weights: below Standard iff l < √2 w, at most Optimised iff l ≤ w. FLOPs: below Standard iff l < 2 w, at most Optimised iff l ≤ w."""
    for length in (
        1,
        width - 1,
        width,
        width + 1,
        int(2**0.5 * width),
        int(2**0.5 * width) + 1,
        2 * width - 1,
        2 * width,
    ):
        sizes = {"width": width, "heads": 4, "length": length, "bias": False}
        ours, standard, optimised = (cost.parameters(name, **sizes) for name in ("super", "softmax", "optimised"))
        assert (ours < standard) == (length < 2**0.5 * width)
        assert (ours <= optimised) == (length <= width)
        ours, standard, optimised = (
            cost.flops(name, width=width, heads=4, n=length) for name in ("super", "softmax", "optimised")
        )
        assert (ours < standard) == (length < 2 * width)
        assert (ours <= optimised) == (length <= width)
