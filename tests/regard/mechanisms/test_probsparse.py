"""ProbSparse attention: the golden vectors, the choice of queries, the hashed sample, and padded rows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from regard.mechanisms.probsparse import (
    ProbSparseAttention,
    count_drawn,
    counts_drawn,
    naive_probsparse,
    probsparse,
    sample_keys,
)
from regard.mechanisms.softmax import softmax
from regard.registry import build
from tests.paths import GOLDEN


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("case", "factor"), [("self", 5), ("cross", 3)])
def test_golden(case: str, factor: int) -> None:
    arrays = np.load(GOLDEN / f"probsparse-{case}.npz")
    q, k, v, sample, expected = (torch.from_numpy(arrays[name]) for name in ("q", "k", "v", "sample", "out"))
    for function in (probsparse, naive_probsparse):
        out = function(q, k, v, factor=factor, sample=sample)
        torch.testing.assert_close(out, expected, rtol=0, atol=2e-5)
    mean = v.mean(2, keepdim=True)
    attended = (out - mean).abs().amax(-1) > 1e-4  # b h n
    top = torch.from_numpy(arrays["top_queries"])
    assert [[row.nonzero()[:, 0].tolist() for row in head] for head in attended] == top.tolist()


@settings(deadline=None, max_examples=100)
@given(
    b=st.integers(0, 3),
    n=st.integers(1, 14),
    m=st.integers(1, 14),
    e=st.integers(1, 4),
    factor=st.integers(1, 3),
    per_row=st.booleans(),
    masked=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_equals_the_definition(
    b: int, n: int, m: int, e: int, factor: int, per_row: bool, masked: bool, seed: int
) -> None:
    # Whole numbers: measures that are equal are then equal to the last bit, and fall to the earlier query.
    q, k = (2 * draw(b, 2, n, 3, seed=seed)).round(), (2 * draw(b, 2, m, 3, seed=seed + 1)).round()
    v = draw(b, 2, m, e, seed=seed + 2)
    shape = (b, n, 4) if per_row else (n, 4)
    sample = torch.randint(m, shape, generator=torch.Generator().manual_seed(seed))
    if per_row:
        sample[..., -1] = -1
    key_mask = draw(b, m, seed=seed + 4) > 0.3 if masked else None  # some rows hold nothing real
    query_mask = draw(b, n, seed=seed + 5) > 0.3 if masked else None
    if key_mask is not None and query_mask is not None:
        q = q.masked_fill(~query_mask[:, None, :, None], torch.nan)
        k, v = (x.masked_fill(~key_mask[:, None, :, None], torch.nan) for x in (k, v))
    masks = {"key_mask": key_mask, "query_mask": query_mask}
    out = probsparse(q, k, v, factor=factor, sample=sample, scale=0.7, **masks)
    expected = naive_probsparse(q, k, v, factor=factor, sample=sample, scale=0.7, **masks)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)


@settings(deadline=None, max_examples=40)
@given(
    kept=st.lists(st.booleans(), min_size=1, max_size=40),
    kept_queries=st.lists(st.booleans(), min_size=1, max_size=40),
    factor=st.integers(1, 3),
)
def test_a_padded_row_equals_its_unpadded_run(kept: list[bool], kept_queries: list[bool], factor: int) -> None:
    key_mask, query_mask = torch.tensor([kept]), torch.tensor([kept_queries])
    n, m = len(kept_queries), len(kept)
    q, k, v = draw(1, 2, n, 3, seed=1), draw(1, 2, m, 3, seed=2), draw(1, 2, m, 3, seed=3)
    padded = probsparse(q, k, v, factor=factor, key_mask=key_mask, query_mask=query_mask)[:, :, query_mask[0]]
    if not any(kept):
        assert padded.eq(0).all()
    elif any(kept_queries):
        alone = probsparse(q[:, :, query_mask[0]], k[:, :, key_mask[0]], v[:, :, key_mask[0]], factor=factor)
        torch.testing.assert_close(padded, alone, rtol=0, atol=1e-12)


def test_gradients_with_a_mask() -> None:
    mask = torch.arange(11) < torch.tensor([[11], [5], [0]])
    leaves = [draw(3, 2, 11, 4, seed=seed).masked_fill(~mask[:, None, :, None], torch.nan) for seed in range(3)]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    sample = torch.randint(11, (11, 5), generator=torch.Generator().manual_seed(0))
    weights = draw(3, 2, 11, 4, seed=10)
    gradients = []
    for function in (probsparse, naive_probsparse):
        out = function(*leaves, factor=2, sample=sample, key_mask=mask, query_mask=mask)
        gradients.append(torch.autograd.grad((out * weights).sum(), leaves))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_all_queries_active_is_softmax_attention() -> None:
    q, k, v = (draw(2, 2, 9, 4, seed=seed) for seed in range(3))
    factor = ProbSparseAttention.exact(9)["factor"]
    torch.testing.assert_close(probsparse(q, k, v, factor=factor), softmax(q, k, v), rtol=0, atol=1e-12)


def test_counts_are_factor_times_the_logarithm_rounded_up() -> None:
    assert [count_drawn(length, 5) for length in (0, 1, 2, 7, 8, 21, 64, 1000)] == [0, 0, 2, 7, 8, 20, 25, 35]
    lengths = torch.arange(3000)
    assert counts_drawn(lengths, 3).tolist() == [count_drawn(length, 3) for length in range(3000)]


def test_hashed_samples_are_uniform_and_differ_between_seeds_and_queries() -> None:
    first, second = (sample_keys(2000, 100, 5, seed=torch.tensor(seed)) for seed in (7, 8))
    assert first.shape == (2000, 25)
    counts = torch.bincount(first.flatten(), minlength=100)
    assert len(counts) == 100
    assert 400 < counts.min() <= counts.max() < 600  # 500 expected, standard deviation 22
    for shift in (-1, 0, 1):  # one draw in a hundred agrees by chance
        assert (first.roll(shift, 0) == second).float().mean() < 0.02
        assert shift == 0 or (first.roll(shift, 0) == first).float().mean() < 0.02
    assert torch.equal(sample_keys(30, 100, 5, seed=torch.tensor(7)), first[:30])


def test_evaluation_repeats_itself_and_training_samples_anew() -> None:
    layer = build("probsparse", width=8, heads=2, factor=1, seed=3)
    x = draw(1, 60, 8, seed=0).float()
    assert len({layer(x).sum().item() for _ in range(4)}) > 1
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    assert layer.state_dict()["seed"] == 3
    assert "factor=1" in repr(layer)


def test_cost_is_what_torch_counts() -> None:
    q, k, v = draw(1, 2, 20, 4, seed=0), draw(1, 2, 30, 4, seed=1), draw(1, 2, 30, 6, seed=2)
    with FlopCounterMode(display=False) as counter:
        probsparse(q, k, v, factor=2)
    sampled = 2 * 2 * 20 * 8 * 4  # taken without a matrix product, so that torch does not count them
    expected = ProbSparseAttention.mix_flops(heads=2, n=20, m=30, d=4, e=6, factor=2)
    assert counter.get_total_flops() + sampled == expected
    assert ProbSparseAttention.score_entries(heads=2, n=20, m=30, factor=2) == 2 * (20 * 8 + 6 * 30)


def test_errors_name_the_numbers() -> None:
    x = torch.ones(2, 2, 6, 4)
    with pytest.raises(ValueError, match="factor must be at least 1, got 0"):
        probsparse(x, x, x, factor=0)
    with pytest.raises(ValueError, match=r"\(n = 6, U\) or \(b = 2, n = 6, U\), got \(5, 3\)"):
        probsparse(x, x, x, factor=1, sample=torch.zeros(5, 3, dtype=torch.long))
    with pytest.raises(ValueError, match=r"\(2, 6\), got \(2, 5\)"):
        probsparse(x, x, x, key_mask=torch.ones(2, 5, dtype=torch.bool))
    with pytest.raises(TypeError, match="query_mask must be boolean"):
        probsparse(x, x, x, query_mask=torch.ones(2, 6))
    with pytest.raises(ValueError, match="factor must be at least 1, got -1"):
        build("probsparse", width=8, heads=2, factor=-1)
