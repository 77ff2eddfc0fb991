"""Scatterbrain: the definition by loops over plain numbers, the estimate it makes, scores far apart, and what it keeps in memory."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from regard.mechanisms.local import local
from regard.mechanisms.performer import orthogonal_projection, performer
from regard.mechanisms.scatterbrain import ScatterbrainAttention, naive_scatterbrain, scatterbrain
from regard.mechanisms.softmax import softmax
from regard.registry import build
from tests.regard.vectors import draw, gradients, heads, masks, peak_bytes

Rows = list[list[float]]


def by_loops(q: Rows, k: Rows, v: Rows, W: Rows, window: int, causal: bool, keep: list[bool]) -> Rows:
    """One sequence and head, as the paper writes it: the low-rank sum over every key, then corrected on the support."""
    d, out = len(q[0]), []

    def dot(x: list[float], y: list[float]) -> float:
        return sum(a * b for a, b in zip(x, y, strict=True))

    def features(x: list[float]) -> list[float]:
        small = [a / d**0.25 for a in x]
        return [math.exp(dot(w, small) - dot(small, small) / 2) / math.sqrt(len(W)) for w in W]

    for i, query in enumerate(q):
        weights = []
        for j, key in enumerate(k):
            weight = dot(features(query), features(key))
            if (0 <= i - j < window) if causal else abs(i - j) <= window:
                weight += math.exp(dot(query, key) / math.sqrt(d)) - weight
            weights.append(weight if keep[j] and not (causal and j > i) else 0.0)
        total = sum(weights)
        out.append(
            [sum(w * row[c] for w, row in zip(weights, v, strict=True)) / (total or 1) for c in range(len(v[0]))]
        )
    return out


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [1, 3])
def test_equals_plain_loops(causal: bool, window: int) -> None:
    q, k, v = heads(1, b=2, h=2, n=11)
    W = draw(2, 7, 4, seed=4)
    mask = torch.tensor([[True] * 11, [False, True, True, False, False, False, True, True, True, True, False]])
    out = scatterbrain(q, k, v, projection=W, window=window, causal=causal, key_mask=mask)
    for b in range(2):
        for h in range(2):
            given_rows = (x[b, h].tolist() for x in (q, k, v))
            expected = by_loops(*given_rows, W[h].tolist(), window, causal, mask[b].tolist())
            torch.testing.assert_close(out[b, h], torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


@settings(max_examples=60)
@given(data=st.data())
def test_equals_the_definition(data: st.DataObject) -> None:
    b, n, causal = data.draw(st.integers(0, 2)), data.draw(st.integers(1, 140)), data.draw(st.booleans())
    window = data.draw(st.sampled_from([1, 2, 7, 40, 139, 200]))
    mask = data.draw(masks(b, n)) if b and n < 50 else None
    q, k, v = heads(data.draw(st.integers(0, 9)), b=b, n=n)
    projection = draw(*data.draw(st.sampled_from([(6, 4), (2, 6, 4)])), seed=1)
    options = {"projection": projection, "window": window, "causal": causal, "key_mask": mask}
    torch.testing.assert_close(scatterbrain(q, k, v, **options), naive_scatterbrain(q, k, v, **options))


def test_gradients_with_a_mask() -> None:
    mask = torch.arange(75) < torch.tensor([[75], [50], [0]])
    leaves = [x.masked_fill(~mask[:, None, :, None], torch.nan).requires_grad_() for x in heads(3, b=3, n=75)]
    for causal in (False, True):
        options = {"projection": draw(5, 4, seed=1), "window": 3, "causal": causal, "key_mask": mask}
        found, expected = (
            gradients(function(leaves[0].nan_to_num(0), *leaves[1:], **options), leaves)
            for function in (scatterbrain, naive_scatterbrain)
        )
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_many_features_estimate_softmax_attention_and_the_window_needs_none() -> None:
    q, k, v = heads(1, n=30, d=8)
    W = orthogonal_projection(2, 40_000, 8, generator=torch.Generator().manual_seed(0)).double()
    q, k = 0.5 * q, 0.5 * k
    for causal in (False, True):
        dense = softmax(q, k, v, causal=causal)
        out = scatterbrain(q, k, v, projection=W, window=2, causal=causal)
        torch.testing.assert_close(out, dense, rtol=0, atol=0.02)
        few = W[:, :8]
        whole = scatterbrain(q, k, v, projection=few, window=30, causal=causal)
        torch.testing.assert_close(whole, dense, rtol=0, atol=1e-12)


def test_closer_to_softmax_attention_than_either_part() -> None:
    """What the paper is about: some scores are large and near, the others many and small."""
    q, k, v = heads(2, b=4, n=96, d=16)
    near = 0.8 * draw(4, 2, 12, 1, 16, seed=9).expand(-1, -1, -1, 8, -1).flatten(
        2, 3
    )  # groups of 8 tokens that are alike
    q, k = 0.4 * q + near, 0.4 * k + near
    W = orthogonal_projection(2, 64, 16, generator=torch.Generator().manual_seed(0)).double()
    dense = softmax(q, k, v)

    def error(out: torch.Tensor) -> float:
        return (out - dense).square().mean().sqrt().item()

    both = error(scatterbrain(q, k, v, projection=W, window=7))
    assert both < 0.7 * error(local(q, k, v, window=7))
    assert both < 0.7 * error(performer(q, k, v, projection=W, epsilon=0.0))


@pytest.mark.parametrize("causal", [False, True])
def test_scores_far_apart_in_float32(causal: bool) -> None:
    """Exponents of hundreds: no sum overflows, and what float32 cannot hold is summed in float64."""
    q, k, v = heads(5, n=70, d=8)
    W = draw(2, 12, 8, seed=3)
    for size in (1.0, 8.0, 30.0):
        options = {"window": 4, "causal": causal}
        expected = naive_scatterbrain(size * q, size * k, v, projection=W, **options)
        found = scatterbrain((size * q).float(), (size * k).float(), v.float(), projection=W.float(), **options)
        # The exponents are hundreds at size 30, and float32 rounds each of them by 1e-5 and more.
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-6 * size**3 + 1e-5)


def test_sums_that_float32_cannot_hold() -> None:
    """The query's large feature is the keys' small one, by e^120: worked by hand, all three keys weigh e^-3600."""
    q, k = torch.tensor([60.0, 60.0, -60.0]).view(1, 1, 3, 1), torch.full((1, 1, 3, 1), 60.0)
    v, W = torch.tensor([1.0, 2.0, 6.0]).view(1, 1, 3, 1), torch.tensor([[1.0], [-1.0]])
    out = scatterbrain(q, k, v, projection=W, window=1, causal=True)
    assert out[0, 0, 2].item() == pytest.approx(3, abs=1e-3)


def test_a_nan_of_the_future_stays_there() -> None:
    q, k, v = heads(1, b=1, n=40)
    options = {"projection": draw(5, 4, seed=1), "window": 3, "causal": True}
    clean = scatterbrain(q, k, v, **options)
    for x in (k, v):
        x[0, 0, 20, 1] = torch.inf
    out = scatterbrain(q, k, v, **options)
    assert torch.equal(out[:, :, :20], clean[:, :, :20])
    assert torch.equal(out[:, 1], clean[:, 1])
    assert out[0, 0, 20:].isnan().all()


def test_memory_grows_with_the_length_and_not_with_its_square() -> None:
    def used(n: int, causal: bool) -> int:
        q, k, v = (x.float() for x in heads(1, b=1, h=1, n=n, d=8))
        W = draw(8, 8, seed=1).float()
        return peak_bytes(lambda: scatterbrain(q, k, v, projection=W, window=8, causal=causal))

    for causal in (False, True):
        short, long = used(1024, causal), used(4096, causal)
        assert long < 5 * short
        assert long < 4 * 4096**2 / 4


def test_cost() -> None:
    q, k, v = heads(1, b=1, n=64, d=4, e=6)
    W = draw(2, 5, 4, seed=1)
    with FlopCounterMode(display=False) as counter:
        scatterbrain(q, k, v, projection=W, window=32)
    known = ScatterbrainAttention.mix_flops(heads=2, n=64, m=64, d=4, e=6, window=32, features=5)
    assert known == 2 * 2 * 64 * 64 * (4 + 6) + 2 * 2 * 128 * 5 * (4 + 6 + 1)
    assert known / 2 < counter.get_total_flops() < 6 * known  # blocks see their margins, prefix sums their triangles
    count = ScatterbrainAttention.score_entries(heads=2, n=64, m=64, window=3, features=5, pattern="causal_self")
    assert count == 2 * (64 * 3 + 128 * 5)


def test_errors_name_the_numbers() -> None:
    x = torch.ones(2, 2, 6, 4)
    with pytest.raises(ValueError, match=r"\(h = 2, features, d = 4\), got \(3, 5, 4\)"):
        scatterbrain(x, x, x, projection=torch.ones(3, 5, 4), window=1)
    with pytest.raises(ValueError, match="window must be at least 1, got 0"):
        scatterbrain(x, x, x, projection=torch.ones(5, 4), window=0)
    with pytest.raises(ValueError, match="n = 6 and m = 5"):
        scatterbrain(x, x[:, :, :5], x[:, :, :5], projection=torch.ones(5, 4), window=1)
    with pytest.raises(ValueError, match="features must be at least 1, got 0"):
        build("scatterbrain", width=8, heads=2, features=0)


def test_the_projection_is_in_the_state_dict_and_can_be_drawn_anew() -> None:
    layer = build("scatterbrain", width=8, heads=2, generator=torch.Generator().manual_seed(1))
    again = build("scatterbrain", width=8, heads=2, generator=torch.Generator().manual_seed(1))
    before = layer.state_dict()["projection"].clone()
    assert torch.equal(before, again.projection)
    layer.redraw(torch.Generator().manual_seed(2))
    assert not torch.equal(layer.projection, before)
    assert "window=15, features=16" in repr(layer)
