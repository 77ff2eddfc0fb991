"""KDEformer without its density estimates: the definition by loops over plain numbers, the law of the sample, and rows beside others."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from regard.mechanisms.hyper import hyper
from regard.mechanisms.kde import KdeAttention, kde, naive_kde, sample_by_values
from regard.mechanisms.softmax import softmax
from regard.registry import build
from tests.regard.vectors import draw, gradients, heads, masks, peak_bytes

Rows = list[list[float]]


def dot(x: list[float], y: list[float]) -> float:
    return sum(a * b for a, b in zip(x, y, strict=True))


def chances(v: Rows) -> list[float]:
    """P, the largest singular value by as many steps of the power method as it takes."""
    rows = [[*row, 1.0] for row in v]
    x = [1.0] * len(rows[0])
    for _ in range(1000):
        along = [dot(row, x) for row in rows]
        x = [sum(a * row[c] for a, row in zip(along, rows, strict=True)) for c in range(len(x))]
        largest = math.sqrt(dot(x, x))
        x = [a / largest for a in x]
    share = [len(v) * dot(row, row) / largest + 1 for row in rows]
    return [one / sum(share) for one in share]


def by_loops(q: Rows, k: Rows, v: Rows, R: Rows, draws: list[int], blocks: int) -> Rows:
    """One sequence and head whose lengths are multiples of `blocks`; two hyperplanes, whose Gray code is 00, 10, 11, 01."""

    def place(x: list[float]) -> int:
        first, second = (dot(x, list(column)) > 0 for column in zip(*R, strict=True))
        return {(False, False): 0, (True, False): 1, (True, True): 2, (False, True): 3}[first, second]

    q_order, k_order = (sorted(range(len(x)), key=lambda i, x=x: (place(x[i]), i)) for x in (q, k))
    q_block = {i: at * blocks // len(q) for at, i in enumerate(q_order)}
    k_block = {j: at * blocks // len(k) for at, j in enumerate(k_order)}
    P, sample = chances(v), []
    for number in draws:
        left, j = number / 2**32, 0
        while left >= P[j]:
            left, j = left - P[j], j + 1
        sample.append(j)
    out = []
    for i, query in enumerate(q):
        total, mixed = 0.0, [0.0] * len(v[0])
        inside = [(j, 1.0) for j in range(len(k)) if k_block[j] == q_block[i]]
        outside = [(j, 1 / (len(draws) * P[j])) for j in sample if k_block[j] != q_block[i]]
        for j, weight in inside + outside:
            a = weight * math.exp(dot(query, k[j]) / math.sqrt(len(query)))
            total, mixed = total + a, [x + a * y for x, y in zip(mixed, v[j], strict=True)]
        out.append([x / total for x in mixed])
    return out


@pytest.mark.parametrize(("n", "m", "blocks"), [(12, 12, 3), (12, 20, 4), (8, 8, 1)])
def test_equals_plain_loops(n: int, m: int, blocks: int) -> None:
    q, k, v = heads(1, n=n, m=m)
    v = v * torch.arange(1, m + 1)[:, None]  # so that the chances differ
    R, draws = draw(4, 2, seed=5), torch.randint(2**32, (2, 5), generator=torch.Generator().manual_seed(2))
    sizes: dict[str, Any] = {"block_size": n // blocks, "key_block_size": m // blocks, "sample_size": 5}
    out = kde(q, k, v, directions=R, projections=2, draws=draws, **sizes)
    for b in range(2):
        for h in range(2):
            rows = (x[b, h].tolist() for x in (q, k, v))
            expected = by_loops(*rows, R.tolist(), draws[h].tolist(), blocks)
            torch.testing.assert_close(out[b, h], torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-10)


@settings(max_examples=60)
@given(data=st.data())
def test_equals_the_definition(data: st.DataObject) -> None:
    b, n, m = data.draw(st.integers(0, 2)), data.draw(st.integers(1, 14)), data.draw(st.integers(1, 14))
    q, k, v = heads(data.draw(st.integers(0, 9)), b=b, n=n, m=m)
    key_mask, query_mask = data.draw(masks(b, m)), data.draw(masks(b, n))
    if key_mask is not None:
        k, v = (x.masked_fill(~key_mask[:, None, :, None], torch.nan) for x in (k, v))
    if query_mask is not None:
        q = q.masked_fill(~query_mask[:, None, :, None], torch.nan)
    s = data.draw(st.sampled_from([0, 1, 6]))
    options: dict[str, Any] = {"key_mask": key_mask, "query_mask": query_mask, "scale": 0.7}
    options["draws"] = torch.randint(2**32, (2, s), generator=torch.Generator().manual_seed(3))
    options |= {"block_size": data.draw(st.integers(1, 15)), "directions": draw(4, 2, seed=1)}
    options["key_block_size"] = data.draw(st.none() | st.integers(1, 15))
    out, expected = kde(q, k, v, projections=2, sample_size=s, **options), naive_kde(q, k, v, **options)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)


def test_gradients_with_a_mask() -> None:
    mask = torch.arange(11) < torch.tensor([[11], [5], [0]])
    leaves = [x.masked_fill(~mask[:, None, :, None], torch.nan).requires_grad_() for x in heads(3, b=3, n=11)]
    options: dict[str, Any] = {"block_size": 3, "directions": draw(4, 2, seed=1), "key_mask": mask, "query_mask": mask}
    options["draws"] = torch.randint(2**32, (2, 6), generator=torch.Generator().manual_seed(3))
    found = gradients(kde(*leaves, projections=2, sample_size=6, **options), leaves)
    for one, other in zip(found, gradients(naive_kde(*leaves, **options), leaves), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_keys_are_drawn_by_their_chances_and_masked_ones_never() -> None:
    v = draw(1, 1, 8, 3, seed=1) * torch.arange(1, 9)[:, None]
    mask = torch.tensor([[True, True, False, True, True, True, False, True]])
    v[0, 0, 2] = torch.nan
    draws = (torch.arange(40_000) * 2**32 // 40_000)[None]  # evenly spaced: frequencies are chances
    sample, log_weight = sample_by_values(v, draws, mask)
    kept = v[0, 0][mask[0]].tolist()
    P = torch.zeros(8, dtype=torch.float64)
    P[mask[0]] = torch.tensor(chances(kept), dtype=torch.float64)
    frequencies = torch.bincount(sample.flatten(), minlength=8) / 40_000
    torch.testing.assert_close(frequencies.double(), P, rtol=0, atol=1e-4)
    torch.testing.assert_close(log_weight, -(P[sample] * 40_000).log(), rtol=0, atol=1e-9)
    assert P.max() > 3 * P[mask[0]].min()


def test_the_smallest_draw_is_of_the_first_real_key() -> None:
    mask = torch.tensor([[False, False, True, True]])
    sample, log_weight = sample_by_values(draw(1, 1, 4, 3, seed=1), torch.tensor([[0, 2**32 - 1]]), mask)
    assert sample.tolist() == [[[2, 3]]]
    assert log_weight.isfinite().all()


def test_both_sums_are_unbiased() -> None:
    """Over all evenly spaced draws of one key, the mean of 1 / P at a key is 1: what is outside is counted once on average."""
    v = draw(1, 1, 6, 2, seed=1) * torch.arange(1, 7)[:, None]
    draws = (torch.arange(60_000) * 2**32 // 60_000)[None]
    sample, log_weight = sample_by_values(v, draws)
    total = torch.zeros(6, dtype=torch.float64).index_add(0, sample[0, 0], log_weight[0, 0].exp())
    torch.testing.assert_close(total, torch.ones(6, dtype=torch.float64), rtol=0, atol=1e-3)


def test_many_draws_estimate_softmax_attention_and_large_values_are_met_sooner_than_uniformly() -> None:
    q, k, v = heads(2, n=512, d=16)
    v = v * torch.where(torch.arange(512) % 32 == 0, 20.0, 1.0)[:, None]  # few values are large
    dense, errors = softmax(q, k, v), {}
    for name, function, size in (("few", kde, 64), ("uniform", hyper, 64), ("many", kde, 4096)):
        found = [
            function(q, k, v, block_size=16, sample_size=size, generator=torch.Generator().manual_seed(i))
            for i in range(5)
        ]
        errors[name] = (torch.stack(found) - dense).square().mean().sqrt().item()
    assert errors["many"] < 0.2 * errors["few"]
    assert errors["few"] < 0.8 * errors["uniform"]


@settings(max_examples=40)
@given(kept=st.lists(st.booleans(), min_size=1, max_size=40), block=st.integers(2, 9))
def test_a_padded_row_equals_its_unpadded_run(kept: list[bool], block: int) -> None:
    mask, n = torch.tensor([kept]), len(kept)
    layer = build("kde", width=8, heads=2, block_size=block, key_block_size=block, sample_size=5, projections=3)
    layer = layer.double().eval()
    x = draw(1, n, 8, seed=1)
    if any(kept):
        padded = layer(x, x_mask=mask)[mask]
        torch.testing.assert_close(padded, layer(x[mask][None])[0], rtol=0, atol=1e-10)


def test_values_whose_squares_no_float32_holds() -> None:
    q, k, v = (x.float() for x in heads(1, n=24))
    options: dict[str, Any] = {"block_size": 4, "directions": draw(4, 2, seed=1).float(), "projections": 2}
    options |= {"draws": torch.randint(2**32, (2, 6), generator=torch.Generator().manual_seed(3)), "sample_size": 6}
    out = kde(q, k, 1e30 * v, **options)
    assert out.isfinite().all()
    assert (out / 1e30).abs().max() < v.abs().max()


def test_evaluation_repeats_itself_and_training_draws_anew() -> None:
    layer = build("kde", width=8, heads=2, block_size=4, sample_size=3)
    x = draw(1, 60, 8, seed=0).float()
    assert len({layer(x).sum().item() for _ in range(4)}) > 1
    layer.eval()
    assert torch.equal(layer(x), layer(x))


def test_memory_grows_with_the_length_and_not_with_its_square() -> None:
    def used(n: int) -> int:
        q, k, v = (x.float() for x in heads(1, b=1, h=1, n=n, d=8))
        return peak_bytes(lambda: kde(q, k, v, block_size=16, sample_size=16))

    short, long = used(1024), used(4096)
    assert long < 4.5 * short
    assert long < 4 * 4096**2 / 4


def test_cost_is_what_torch_counts() -> None:
    q, k, v = draw(1, 2, 24, 4, seed=0), draw(1, 2, 32, 4, seed=1), draw(1, 2, 32, 6, seed=2)
    options: dict[str, Any] = {"block_size": 6, "key_block_size": 8, "sample_size": 5, "projections": 3}
    with FlopCounterMode(display=False) as counter:
        kde(q, k, v, **options)
    assert counter.get_total_flops() == KdeAttention.mix_flops(heads=2, n=24, m=32, d=4, e=6, **options)
    assert KdeAttention.score_entries(heads=2, n=24, m=32, **options) == 2 * 24 * (8 + 5)


def test_errors_name_the_numbers() -> None:
    x = torch.ones(2, 2, 6, 4)
    with pytest.raises(ValueError, match=r"\(2, 256\), got \(2, 5\)"):
        kde(x, x, x, draws=torch.zeros(2, 5, dtype=torch.long))
    with pytest.raises(TypeError, match=r"draws must be a tensor of int64, got torch\.float32"):
        kde(x, x, x, draws=torch.zeros(2, 256))
    with pytest.raises(ValueError, match="block_size must be at least 1, got 0"):
        build("kde", width=8, heads=2, block_size=0)
