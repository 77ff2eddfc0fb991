"""SMYRF's other hashes, and keys met twice counted once: against plain references, with masks, padding and gradients."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard.common.counter_rng import murmur_mix
from regard.mechanisms.smyrf import clustered_attention, naive_smyrf, smyrf
from regard.mechanisms.smyrf.hashing import SCHEMES, checked_directions, hashes, sorted_tokens
from regard.registry import build
from tests.regard.vectors import draw, gradients, heads, masks

BUCKETS = 6


def directions_of(scheme: str, d: int, rounds: int, seed: int = 5) -> Tensor:
    return checked_directions(None, scheme, d, rounds, BUCKETS, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dedup", [False, True])
@pytest.mark.parametrize("scheme", SCHEMES)
@settings(deadline=None, max_examples=25)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 7), st.none() | st.integers(1, 7), st.booleans(), st.data())
def test_values_and_gradients_equal_the_definition(
    scheme: str, dedup: bool, n: int, m: int, C: int, K: int | None, plain_form: bool, data: st.DataObject
) -> None:
    query_mask, key_mask = data.draw(masks(2, n)), data.draw(masks(2, m))
    inputs = [x.requires_grad_() for x in heads(n + 10 * m, n=n, m=m)]
    options: dict[str, Any] = {"cluster_size": C, "key_cluster_size": K, "directions": directions_of(scheme, 4, 3)}
    options |= {"query_mask": query_mask, "key_mask": key_mask, "scheme": scheme, "buckets": BUCKETS, "dedup": dedup}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clustered_attention, "HAS_CPU_KERNEL", clustered_attention.HAS_CPU_KERNEL and not plain_form)
        fast = smyrf(*inputs, rounds=3, **options)
        ours = gradients(fast, inputs)
    plain = naive_smyrf(*inputs, **options)
    torch.testing.assert_close(fast, plain)
    if plain.requires_grad:
        for mine, theirs in zip(ours, gradients(plain, inputs), strict=True):
            torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_padding_changes_no_real_row(scheme: str) -> None:
    q, k, v = heads(2, b=1, n=30)
    mask = (torch.arange(30) < 19)[None]
    options: dict[str, Any] = {"rounds": 2, "cluster_size": 4, "scheme": scheme, "buckets": BUCKETS, "dedup": True}
    options["directions"] = directions_of(scheme, 4, 2)
    whole = smyrf(q, k, v, query_mask=mask, key_mask=mask, **options)
    alone = smyrf(*(x[:, :, :19] for x in (q, k, v)), **options)
    torch.testing.assert_close(whole[:, :, :19], alone)
    assert whole[:, :, 19:].abs().max() == 0


def test_plain_hash_by_hand() -> None:
    q = torch.tensor([[[[1.0, 2.0], [3.0, -1.0], [0.0, 0.5]]]])
    alpha = torch.tensor([[1.0, 0.0], [1.0, 2.0]])  # rounds: x + y, 2 y
    orders = sorted_tokens(*hashes(q, -q, alpha, "plain", 2))
    assert [x[:, 0, 0].tolist() for x in orders] == [
        [[2, 1, 0], [1, 2, 0]],
        [[0, 1, 2], [0, 2, 1]],
    ]  # 3 2 .5, then 4 -2 1
    assert orders[1][0, 0, 0].tolist() == [0, 1, 2]


def test_reformer_buckets_by_hand() -> None:
    """R is the identity: a bucket for the largest of x, y, -x, -y; equal buckets by position."""
    x = torch.tensor([[[[0.0, -2.0], [3.0, 1.0], [-5.0, 4.0], [1.0, 2.0], [9.0, 0.0]]]])
    found, _ = hashes(x, x, torch.eye(2), "reformer", 1)
    assert found.hash[0, 0, 0].tolist() == [3, 0, 2, 1, 0]
    assert sorted_tokens(found, found)[0][0, 0, 0].tolist() == [1, 4, 3, 2, 0]


def test_random_is_a_permutation_of_the_seed_alone() -> None:
    q, k, _ = heads(0, b=2, h=2, n=500)
    seeds = torch.tensor([1, 2])
    order, of_keys = sorted_tokens(*hashes(q, k, seeds, "random", 2))
    assert torch.equal(order, sorted_tokens(*hashes(3 * k, q, seeds, "random", 2))[0])
    assert torch.equal(order[:, 0], order[:, 1])  # in every row of the batch
    assert torch.equal(order.sort(-1).values, torch.arange(500).expand_as(order))
    permutations = torch.cat([order[:, 0], of_keys[:, 0]]).flatten(0, 1)  # (2 + 2) · 2: rounds, sides and heads
    alike = (permutations[:, None] == permutations).sum(-1)
    assert (alike - alike.diag().diag()).max() < 15  # 1 place is the same by chance
    numbers = murmur_mix(torch.arange(500))
    assert numbers.unique().numel() == 500


def test_content_decides_better_than_chance() -> None:
    """Keys that are the queries themselves: the mass of softmax attention that the clusters hold, by scheme."""
    q = 2 * draw(1, 8, 256, 16, seed=1)
    k, n = q.roll(40, 2), 256
    weights = (q @ k.mT / 4).softmax(-1)
    held = {}
    for scheme in SCHEMES:
        directions = checked_directions(None, scheme, 16, 4, 8, torch.Generator().manual_seed(0))
        options: dict[str, Any] = {
            "scheme": scheme,
            "buckets": 8,
            "dedup": True,
            "scale": 0.0,
            "directions": directions,
        }
        met = smyrf(q, k, torch.eye(n, dtype=q.dtype).expand(1, 8, n, n), rounds=4, cluster_size=32, **options) > 0
        held[scheme] = (weights * met).sum(-1).mean().item()
    assert held["random"] == pytest.approx(1 - (7 / 8) ** 4, abs=0.05)
    assert min(held["asymmetric"], held["plain"], held["reformer"]) > held["random"] + 0.2


def test_a_key_met_in_two_rounds_counts_once() -> None:
    """Tokens 0 and 1 in clusters of one. The first two rounds pair each query with its own key, the third with the other."""
    q = k = torch.tensor([[[[0.0], [1.0]]]])
    v = torch.tensor([[[[0.0], [3.0]]]])
    together, crossed = [1.0, 0.0, 0.0], [1.0, 0.0, 9.0]
    directions = torch.tensor([together, together, crossed]).T
    out = smyrf(q, k, v, rounds=3, cluster_size=1, directions=directions, scale=0.0, dedup=True)
    torch.testing.assert_close(out[0, 0, :, 0], torch.tensor([1.5, 1.5]))


def test_rounds_that_repeat_change_nothing_with_dedup() -> None:
    """The same direction again, for a query half of whose keys it had met."""
    q, k, v = heads(3, n=20, m=7)  # keys are shared by neighbouring clusters
    a, b = draw(6, 1, seed=1), draw(6, 1, seed=2)
    options: dict[str, Any] = {"cluster_size": 2, "key_cluster_size": 3, "dedup": True}
    once = smyrf(q, k, v, rounds=2, directions=torch.cat([a, b], 1), **options)
    again = smyrf(q, k, v, rounds=5, directions=torch.cat([a, b, b, a, a], 1), **options)
    torch.testing.assert_close(once, again)
    assert not torch.allclose(once, smyrf(q, k, v, rounds=5, directions=torch.cat([a, b, b, a, a], 1), cluster_size=2))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_dedup_in_half_precision(dtype: torch.dtype) -> None:
    inputs = [x.to(dtype).requires_grad_() for x in heads(5, n=20, d=8, e=8)]
    wide = [x.detach().float().requires_grad_() for x in inputs]
    options: dict[str, Any] = {"rounds": 3, "cluster_size": 8, "directions": draw(10, 3, seed=1), "dedup": True}
    out, exact = smyrf(*inputs, **options), smyrf(*wide, **options)
    torch.testing.assert_close(out.float(), exact, rtol=0, atol=0.02)
    for ours, theirs in zip(gradients(out.float(), inputs), gradients(exact, wide), strict=True):
        torch.testing.assert_close(ours.float(), theirs, rtol=0, atol=0.1)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_layer_draws_for_its_scheme(scheme: str) -> None:
    def layer(seed: int) -> Any:
        generator = torch.Generator().manual_seed(seed)
        return build("smyrf", width=8, heads=2, rounds=3, cluster_size=4, scheme=scheme, buckets=6, generator=generator)

    first, second, x = layer(0), layer(1), draw(2, 17, 8, seed=1, dtype=torch.float32)
    shapes = {"asymmetric": (6, 3), "plain": (4, 3), "reformer": (4, 9), "random": (3,)}
    assert first.directions.shape == shapes[scheme]
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x), second(x))
    other = layer(1)
    other.load_state_dict({**first.state_dict(), "directions": other.directions})
    assert not torch.equal(first(x), other(x))
    assert torch.equal(first.half().directions, first.directions)


def test_bad_directions() -> None:
    q, k, v = heads(0, n=5)
    with pytest.raises(ValueError, match=r"directions must be \(d, rounds · buckets / 2\) = \(4, 6\), got \(4, 2\)"):
        smyrf(q, k, v, directions=torch.zeros(4, 2), scheme="reformer", buckets=6)
    with pytest.raises(TypeError, match=r"directions of scheme 'random' cannot be torch.float32"):
        smyrf(q, k, v, directions=torch.zeros(2), scheme="random")
    with pytest.raises(TypeError, match=r"directions of scheme 'plain' cannot be torch.int64"):
        smyrf(q, k, v, directions=torch.zeros(4, 2, dtype=torch.long), scheme="plain")
