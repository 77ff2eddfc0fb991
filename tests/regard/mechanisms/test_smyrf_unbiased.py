"""The unbiased merge: a pair that is met weighs 1 / P(met), by hand, against plain loops, and on average dense attention."""

from itertools import combinations
from math import comb
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard.common.patterns import Pattern
from regard.mechanisms.smyrf import clustered_attention, naive_smyrf, smyrf
from regard.mechanisms.smyrf.hashing import SCHEMES, Scheme, checked_directions
from regard.mechanisms.smyrf.naive import NaiveHash, naive_collision_counts, naive_unbiased_weights
from regard.mechanisms.smyrf.unbiased import chance_to_meet
from regard.mechanisms.softmax import softmax
from regard.registry import build
from tests.regard.vectors import draw, gradients, heads, masks

BUCKETS = 6


def directions_of(scheme: Scheme, d: int, rounds: int, seed: int = 5) -> Tensor:
    return checked_directions(None, scheme, d, rounds, BUCKETS, torch.Generator().manual_seed(seed))


def test_chance_to_meet_by_counting_choices() -> None:
    """Of all choices of R out of T rounds, those that hold at least one of the first N."""
    for T in range(1, 7):
        for R in range(1, T + 1):
            for N in range(T + 1):
                holding = sum(min(chosen) < N for chosen in combinations(range(T), R))
                assert chance_to_meet(N, T, R) == pytest.approx(holding / comb(T, R))


def test_by_hand() -> None:
    """Tokens 0 and 1 in clusters of one; of three hashed rounds the first two pair each query with its own key, the third with the other.

    All three attend: each pair counts once, (0 + 3) / 2. Only the first attends: each query meets its own key alone.
    The first and the third of rounds `together, crossed, together` attend, all counted: the own pair is met in two of
    three, by any choice of two with chance 1, the other pair in one, with chance 2/3. So query 0 gives 0 the weight 1
    and 3 the weight 3/2: 4.5 / 2.5; query 1: 3 / 2.5.
    """
    q = k = torch.tensor([[[[0.0], [1.0]]]])
    v = torch.tensor([[[[0.0], [3.0]]]])
    together, crossed = [1.0, 0.0, 0.0], [1.0, 0.0, 9.0]  # query 0 has the larger extra coordinate, √2 to 1
    options: dict[str, Any] = {"cluster_size": 1, "scale": 0.0, "hash_rounds": 3}
    for rounds, order, expected in (
        (3, [together, together, crossed], [1.5, 1.5]),
        (1, [together, together, crossed], [0.0, 3.0]),
        (2, [together, crossed, together], [1.8, 1.2]),
    ):
        directions = torch.tensor(order).T
        for form in (smyrf, naive_smyrf):
            out = form(q, k, v, rounds=rounds, directions=directions, **options)
            torch.testing.assert_close(out[0, 0, :, 0], torch.tensor(expected))


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=15)
@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(1, 7), st.none() | st.integers(1, 7), st.integers(1, 4),
    st.booleans(), st.data(),
)  # fmt: skip
def test_values_and_gradients_equal_the_definition(
    scheme: Scheme, n: int, m: int, C: int, K: int | None, rounds: int, plain_form: bool, data: st.DataObject
) -> None:
    query_mask, key_mask = data.draw(masks(2, n)), data.draw(masks(2, m))
    inputs = [x.requires_grad_() for x in heads(n + 10 * m, n=n, m=m)]
    options: dict[str, Any] = {"cluster_size": C, "key_cluster_size": K, "directions": directions_of(scheme, 4, 4)}
    options |= {"query_mask": query_mask, "key_mask": key_mask, "scheme": scheme, "buckets": BUCKETS}
    options |= {"rounds": rounds, "hash_rounds": 4}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clustered_attention, "HAS_CPU_KERNEL", clustered_attention.HAS_CPU_KERNEL and not plain_form)
        fast = smyrf(*inputs, **options)
        ours = gradients(fast, inputs)
    plain = naive_smyrf(*inputs, **options)
    torch.testing.assert_close(fast, plain)
    if plain.requires_grad:
        for mine, theirs in zip(ours, gradients(plain, inputs), strict=True):
            torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("scheme", ["asymmetric", "random"])
@settings(max_examples=10)
@given(st.integers(1, 20), st.integers(1, 4), st.integers(1, 4), st.data())
def test_causal_values_and_gradients_equal_the_definition(
    scheme: Scheme, n: int, C: int, rounds: int, data: st.DataObject
) -> None:
    mask = data.draw(masks(2, n))
    inputs = [x.requires_grad_() for x in heads(n, n=n)]
    options: dict[str, Any] = {"cluster_size": C, "causal": True, "scheme": scheme, "rounds": rounds, "hash_rounds": 4}
    options |= {"directions": directions_of(scheme, 4, 4), "key_mask": mask}
    fast, plain = smyrf(*inputs, **options), naive_smyrf(*inputs, **options)
    torch.testing.assert_close(fast, plain)
    if plain.requires_grad:
        for mine, theirs in zip(gradients(fast, inputs), gradients(plain, inputs), strict=True):
            torch.testing.assert_close(mine, theirs)


def test_one_cluster_is_dense_attention() -> None:
    q, k, v = heads(0, n=20, m=13)
    out = smyrf(q, k, v, rounds=2, hash_rounds=7, cluster_size=20)
    torch.testing.assert_close(out, softmax(q, k, v))


def test_all_hashed_rounds_attending_is_counting_once() -> None:
    q, k, v = heads(1, n=30)
    options: dict[str, Any] = {"rounds": 4, "cluster_size": 6, "directions": directions_of("asymmetric", 4, 4)}
    torch.testing.assert_close(smyrf(q, k, v, hash_rounds=4, **options), smyrf(q, k, v, dedup=True, **options))


def test_every_choice_of_rounds_averages_to_the_pairs_that_were_met() -> None:
    """Exactly: over all choices of the attending rounds, numerator and denominator are those of the pairs met in any hashed round."""
    T, R, C = 5, 2, 3
    q, k = draw(12, 4, seed=1), draw(12, 4, seed=2)
    drawn = draw(6, T, seed=3)
    total = q.new_zeros(12, 12)
    for chosen in combinations(range(T), R):
        order = [*chosen, *(t for t in range(T) if t not in chosen)]
        total += naive_unbiased_weights(NaiveHash(q, k, drawn[:, order]), C, C, R, T)
    met = naive_collision_counts(NaiveHash(q, k, drawn), C, C) > 0
    assert 0 < met.sum() < met.numel()  # some pairs are never met: what is left of the bias
    torch.testing.assert_close(total / comb(T, R), met.to(q.dtype))


def test_numerator_and_denominator_approach_dense_attention() -> None:
    """Means over 60 draws of 32 hashes, two of which attend, against dense sums; the paper's multiset favours some pairs for ever."""
    n, C, T, R, draws = 16, 4, 32, 2, 60
    q, k, v = (2 * draw(n, 3, seed=1), draw(n, 3, seed=2), draw(n, 2, seed=3))
    weights, multiset = q.new_zeros(n, n), q.new_zeros(n, n)
    for seed in range(draws):
        hashed = NaiveHash(q, k, draw(5, T, seed=100 + seed))
        weights += naive_unbiased_weights(hashed, C, C, R, T) / draws
        first = NaiveHash(q, k, hashed.directions[:, :R])
        multiset += naive_collision_counts(first, C, C) * (n / C / R) / draws  # scaled so that its mean is 1
    assert weights.mean().item() == pytest.approx(1, abs=0.02)
    dense = (q @ k.T).exp()

    def error(estimated: Tensor, exact: Tensor) -> float:
        return float((estimated - exact).norm() / exact.norm())

    for values in (v, torch.ones(n, 1, dtype=v.dtype)):  # numerator, denominator
        assert error((weights * dense) @ values, dense @ values) < 0.2
        assert error((multiset * dense) @ values, dense @ values) > 0.3


def test_error_falls_with_rounds() -> None:
    """Against dense attention, on average over heads, and below the multiset's once rounds are many."""
    q, k, v = (draw(1, 8, 96, 8, seed=s) for s in (1, 2, 3))
    exact = softmax(q, k, v)
    errors = {}
    for rounds in (2, 8, 32):
        for hashed in (None, 64):
            drawn = directions_of("asymmetric", 8, hashed or rounds, seed=7)
            out = smyrf(q, k, v, rounds=rounds, cluster_size=12, directions=drawn, hash_rounds=hashed)
            errors[rounds, hashed is not None] = ((out - exact).norm() / exact.norm()).item()
    assert errors[2, True] > errors[8, True] > errors[32, True]
    assert errors[32, True] < 0.5 * errors[32, False]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    inputs = [x.to(dtype).requires_grad_() for x in heads(5, n=20, d=8, e=8)]
    wide = [x.detach().float().requires_grad_() for x in inputs]
    options: dict[str, Any] = {"rounds": 3, "hash_rounds": 9, "cluster_size": 8, "directions": draw(10, 9, seed=1)}
    out, exact = smyrf(*inputs, **options), smyrf(*wide, **options)
    torch.testing.assert_close(out.float(), exact, rtol=0, atol=0.02)
    for ours, theirs in zip(gradients(out.float(), inputs), gradients(exact, wide), strict=True):
        torch.testing.assert_close(ours.float(), theirs, rtol=0, atol=0.1)


@pytest.mark.parametrize("pattern", ["noncausal_self", "causal_self"])
def test_the_layer(pattern: Pattern) -> None:
    """It draws directions for all hashed rounds, equals its definition, and its observers see the attending rounds."""
    layer: Any = build("smyrf", width=8, heads=2, pattern=pattern, rounds=2, cluster_size=4, hash_rounds=6)
    assert layer.directions.shape == (6, 6)
    q, k, v = heads(3, n=17)
    torch.testing.assert_close(layer.mix(q, k, v, None), layer.naive(q, k, v, None))
    met = layer.collisions(q, k, None, None, **layer.observed_options())
    assert met.shape == (2, 2, 2, 17, 17)


@pytest.mark.slow
def test_compiled_forward_and_backward() -> None:
    layer = build("smyrf", width=8, heads=2, rounds=2, cluster_size=4, hash_rounds=4)
    x = draw(2, 10, 8, seed=1, dtype=torch.float32)
    found = []
    for run in (layer, torch.compile(layer, fullgraph=True, backend="aot_eager")):
        found.append(gradients(run(x).double(), list(layer.parameters())))
    for plain, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, plain)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"hash_rounds": 1}, ValueError, "hash_rounds must be at least 2, got 1"),
        ({"hash_rounds": 4.0}, TypeError, r"hash_rounds must be an integer, got 4\.0"),
        ({"hash_rounds": 4, "dedup": True}, ValueError, "excludes dedup; got hash_rounds=4 and dedup"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        smyrf(*heads(0, n=5), **options)
    with pytest.raises(error, match=message):
        build("smyrf", width=4, heads=2, **options)
