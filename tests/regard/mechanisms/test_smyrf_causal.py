"""Causal SMYRF, which is ours: the past decides alone, whatever follows; values and gradients against the plain reference."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.mechanisms.smyrf import clustered_attention, naive_smyrf, smyrf
from regard.mechanisms.smyrf.causal_clusters import causal_clusters, causal_entries
from regard.mechanisms.smyrf.hashing import SCHEMES, Hashed, checked_directions, hashes
from regard.mechanisms.smyrf.naive import NaiveHash, naive_causal_collision_counts
from regard.mechanisms.softmax import softmax
from regard.registry import build, mechanism_class
from tests.regard.vectors import draw, gradients, heads, masks, peak_bytes

BUCKETS = 6


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 6), st.booleans(), st.booleans(), st.data())
def test_values_and_gradients_equal_the_definition(
    scheme: str, n: int, C: int, dedup: bool, plain_form: bool, data: st.DataObject
) -> None:
    query_mask, key_mask = data.draw(masks(2, n)), data.draw(masks(2, n))
    q, k, v = heads(n, n=n)
    if query_mask is not None:
        q = q.masked_fill(~query_mask[:, None, :, None], torch.nan)
    inputs = [x.requires_grad_() for x in (q, k, v)]
    options: dict[str, Any] = {"cluster_size": C, "causal": True, "scheme": scheme, "buckets": BUCKETS, "dedup": dedup}
    options["directions"] = checked_directions(None, scheme, 4, 3, BUCKETS, torch.Generator().manual_seed(1))
    options |= {"query_mask": query_mask, "key_mask": key_mask}
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
@settings(max_examples=40)
@given(st.integers(2, 70), st.data())
def test_the_future_changes_no_row_of_the_past(scheme: str, n: int, data: st.DataObject) -> None:
    """Neither its content, a thousand times larger or not a number, nor its length."""
    t = data.draw(st.integers(1, n - 1))
    q, k, v = heads(n, n=n)
    options: dict[str, Any] = {"rounds": 3, "cluster_size": 3, "causal": True, "scheme": scheme, "buckets": BUCKETS}
    options["directions"] = checked_directions(None, scheme, 4, 3, BUCKETS, torch.Generator().manual_seed(1))
    out = smyrf(q, k, v, **options)[:, :, :t]
    prefix = smyrf(*(x[:, :, :t] for x in (q, k, v)), **options)
    torch.testing.assert_close(prefix, out, rtol=0, atol=1e-12)
    for future in (1000 * draw(2, 2, n - t, 4, seed=7), torch.full((2, 2, n - t, 4), torch.nan)):
        changed = [torch.cat([x[:, :, :t], future[..., : x.shape[3]].to(x.dtype)], 2) for x in (q, k, v)]
        torch.testing.assert_close(smyrf(*changed, **options)[:, :, :t], out, rtol=0, atol=1e-12)


def test_a_gradient_of_the_past_reaches_no_future() -> None:
    inputs = [x.requires_grad_() for x in heads(1, n=50)]
    out = smyrf(*inputs, rounds=2, cluster_size=4, causal=True, directions=draw(6, 2, seed=1))
    for gradient in torch.autograd.grad(out[:, :, :33].square().sum(), inputs):
        assert gradient[:, :, 33:].abs().max() == 0
        assert gradient[:, :, :33].abs().amax((0, 1, 3)).min() > 0


@settings(max_examples=40)
@given(st.integers(1, 60), st.integers(1, 7))
def test_what_a_query_meets(n: int, C: int) -> None:
    """Its own block up to itself and, in each round, C keys of every segment that is the first of its pair; so the entries count."""
    q, k, _ = heads(n, b=1, h=1, n=n)
    met = naive_causal_collision_counts(NaiveHash(q[0, 0], k[0, 0], draw(6, 3, seed=1)), C)
    assert met.triu(1).sum() == 0
    assert (met.diag() == 3).all()
    pasts = torch.tensor(
        [bin(i // C).count("1") for i in range(n)]
    )  # a pair for each binary digit 1 of the block's number
    own = torch.arange(n) % C + 1
    assert torch.equal(met.sum(1).long(), 3 * (own + C * pasts))
    second = torch.tensor([i // C % 2 for i in range(n)])
    assert causal_entries(n, C, 3) == n * C + 3 * C * int(pasts.sum()) - 2 * C * int(second.sum())


@pytest.mark.parametrize("n", [7, 8, 16])
@pytest.mark.parametrize("dedup", [False, True])
def test_two_blocks_are_softmax_attention(n: int, dedup: bool) -> None:
    """The own block and the one before it are seen whole, in every round."""
    q, k, v = heads(1, n=n)
    mask = torch.rand(2, n, generator=torch.Generator().manual_seed(0)) < 0.7
    options: dict[str, Any] = {"rounds": 3, "cluster_size": 8, "causal": True, "dedup": dedup}
    torch.testing.assert_close(smyrf(q, k, v, **options), softmax(q, k, v, causal=True))
    masked = smyrf(q, k, v, query_mask=mask, key_mask=mask, **options)
    expected = softmax(q, k, v, causal=True, key_mask=mask)
    torch.testing.assert_close(masked, expected * mask[:, None, :, None])


def test_a_query_goes_where_it_would_have_stood() -> None:
    """C = 2. Past queries hash to 10, 20, 30, 40, keys to 4, 1, 3, 2: clusters {1, 3} and {2, 0}; 25 and 30 stand in the second, 5 in the first."""
    q = torch.tensor([10.0, 20, 30, 40, 25, 30, 5, 99]).view(1, 1, 8, 1)
    k = torch.tensor([4.0, 1, 3, 2, 0, 0, 0, 0]).view(1, 1, 8, 1)
    q_hash, k_hash = hashes(q, k, torch.ones(1, 1), "plain", 1)
    found = causal_clusters(q_hash, k_hash, 2, None, once=False)
    assert [each.level for each in found] == [0, 1, 2]
    last = found[-1]
    assert last.query_filled is not None
    chunks = {}
    for c in range(last.key_set.shape[2]):
        places = slice(2 * c, 2 * c + 2)
        queries = last.query_token[0, 0, places][last.query_filled[0, 0, places]].tolist()
        if queries:
            chunks[tuple(queries)] = set(last.key_token[0, 0, places].tolist())
    assert chunks == {(6,): {1, 3}, (4, 5): {2, 0}, (7,): {2, 0}}


def test_a_block_past_the_first_is_reached() -> None:
    """The last output moves with the first token, sixty blocks before, in some head."""
    q, k, v = heads(3, b=1, h=8, n=240)
    options: dict[str, Any] = {"rounds": 4, "cluster_size": 4, "causal": True, "directions": draw(6, 4, seed=1)}
    met = smyrf(q, k, torch.eye(240, dtype=q.dtype).expand(1, 8, 240, 240), scale=0.0, **options) > 0
    assert met.any(1)[0, -1, :128].float().mean() > 0.3
    assert v.shape[2] == 240


def test_memory_grows_with_the_length_alone() -> None:
    """Beside the output at most twice q, k, v and out, which are 4 · numel floats of 4 bytes."""
    q, k, v = (draw(1, 2, 4096, 64, seed=i, dtype=torch.float32) for i in range(3))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # each thread works on a part of a size of its own
    try:
        used = peak_bytes(lambda: smyrf(q, k, v, rounds=2, cluster_size=32, causal=True))
    finally:
        torch.set_num_threads(threads)
    assert used - 4 * q.numel() <= 2 * 4 * 4 * q.numel()


def test_cost_counts_the_pattern() -> None:
    smyrf_class = mechanism_class("smyrf")
    options = {"heads": 2, "n": 64, "m": 64, "cluster_size": 8, "rounds": 2}
    assert smyrf_class.score_entries(pattern="causal_self", **options) == 2 * (64 * 8 + 32 * 8 + 2 * 2 * 32 * 8)
    assert smyrf_class.score_entries(pattern="noncausal_self", **options) == 2 * 2 * 64 * 8


def test_bad_options() -> None:
    with pytest.raises(
        ValueError,
        match="causal clusters must hold as many queries as keys, got cluster_size = 8 and key_cluster_size = 4",
    ):
        build("smyrf", width=8, heads=2, pattern="causal_self", cluster_size=8, key_cluster_size=4)
    with pytest.raises(ValueError, match="self attention needs as many queries as keys, got n = 5 and m = 7"):
        smyrf(*heads(0, n=5, m=7), causal=True)


def test_the_example_of_the_module() -> None:
    """n = 8 and C = 2: query 6 meets 6, then 4 and 5, then 3 and 0."""
    q_hash = torch.tensor([0.2, 0.8, 0.5, 0.3, 0.0, 0.0, 0.6, 0.0])
    k_hash = torch.tensor([0.9, 0.1, 0.4, 0.7, 0.0, 0.0, 0.0, 0.0])
    rounds = causal_clusters(Hashed(q_hash.view(1, 1, 1, 8)), Hashed(k_hash.view(1, 1, 1, 8)), 2, None, once=False)
    assert [each.level for each in rounds] == [0, 1, 2]
    met = []
    for each in rounds:
        filled = torch.ones_like(each.query_token).bool() if each.query_filled is None else each.query_filled
        places = ((each.query_token == 6) & filled).flatten().nonzero()
        cluster = int(each.key_set.flatten()[places.item() // 2]) if each.level == 0 else int(places.item() // 2)
        keys = each.key_token.view(-1, 2)[cluster].tolist()
        met.append({key for key in keys if key <= 6})
    assert met == [{6}, {4, 5}, {3, 0}]
    assert causal_entries(8, 2, 1) == 32
