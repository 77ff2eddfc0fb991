"""HyperAttention: the definition by loops over plain numbers, the sort, the sample, padded rows, and what it keeps in memory."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from regard.mechanisms.hyper import HyperAttention, gray_ranks, hyper, naive_hyper, sample_uniformly
from regard.mechanisms.softmax import softmax
from regard.registry import build
from tests.regard.vectors import draw, gradients, heads, masks, peak_bytes

Rows = list[list[float]]


def dot(x: list[float], y: list[float]) -> float:
    return sum(a * b for a, b in zip(x, y, strict=True))


def by_loops(q: Rows, k: Rows, v: Rows, R: Rows, sample: list[int], blocks: int) -> Rows:
    """One sequence and head whose lengths are multiples of `blocks`; the sums of the paper, their exponentials and all."""

    def place(x: list[float]) -> int:
        """The steps that the Gray code takes from all signs down to those of x, by counting: its n-th step flips the
        sign whose number is that of the zeros at the end of n."""
        wanted = [dot(x, list(column)) > 0 for column in zip(*R, strict=True)]
        signs, step = [False] * len(wanted), 0
        while signs != wanted:
            step += 1
            flip = (step & -step).bit_length() - 1
            signs[flip] = not signs[flip]
        return step

    q_order, k_order = (sorted(range(len(x)), key=lambda i, x=x: (place(x[i]), i)) for x in (q, k))
    q_block = {i: at * blocks // len(q) for at, i in enumerate(q_order)}
    k_block = {j: at * blocks // len(k) for at, j in enumerate(k_order)}
    out = []
    for i, query in enumerate(q):
        total, mixed = 0.0, [0.0] * len(v[0])
        inside = [(j, 1.0) for j in range(len(k)) if k_block[j] == q_block[i]]
        outside = [(j, len(k) / len(sample)) for j in sample if k_block[j] != q_block[i]]
        for j, weight in inside + outside:
            a = weight * math.exp(dot(query, k[j]) / math.sqrt(len(query)))
            total, mixed = total + a, [x + a * y for x, y in zip(mixed, v[j], strict=True)]
        out.append([x / total for x in mixed])
    return out


@pytest.mark.parametrize(("n", "m", "blocks"), [(12, 12, 3), (12, 20, 4), (6, 15, 3), (8, 8, 1)])
def test_equals_plain_loops(n: int, m: int, blocks: int) -> None:
    q, k, v = heads(1, n=n, m=m)
    R, sample = draw(4, 3, seed=5), torch.tensor([[0, 3, 3, 7], [1, 5, 2, 2]])
    sizes: dict[str, Any] = {"block_size": n // blocks, "key_block_size": m // blocks}
    out = hyper(q, k, v, directions=R, projections=3, sample=sample, **sizes)
    for b in range(2):
        for h in range(2):
            rows = (x[b, h].tolist() for x in (q, k, v))
            expected = by_loops(*rows, R.tolist(), sample[h].tolist(), blocks)
            torch.testing.assert_close(out[b, h], torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_neighbouring_buckets_differ_in_one_sign() -> None:
    corners = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    assert gray_ranks(corners, torch.eye(2)).tolist() == [2, 3, 0, 1]
    every = torch.cartesian_prod(*5 * [torch.tensor([-1.0, 1.0])])
    ranks = gray_ranks(every, torch.eye(5))
    assert sorted(ranks.tolist()) == list(range(32))
    in_order = every[ranks.argsort()]
    assert ((in_order[1:] != in_order[:-1]).sum(1) == 1).all()
    # The released code sorts by the Gray code of the number that the signs spell: with three signs that jumps.
    number = ((every > 0).long() << torch.arange(5)).sum(1)
    released = every[(number ^ (number >> 1)).argsort()]
    assert (released[1:] != released[:-1]).sum(1).max() > 1


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
    shape = data.draw(st.sampled_from([(0,), (5,), (2, 5), (b, 2, 5)]))
    sample = torch.randint(-1, m + 1, shape, generator=torch.Generator().manual_seed(3))
    options: dict[str, Any] = {"key_mask": key_mask, "query_mask": query_mask, "scale": 0.7, "sample": sample}
    options |= {"block_size": data.draw(st.integers(1, 15)), "directions": draw(4, 2, seed=1)}
    options["key_block_size"] = data.draw(st.none() | st.integers(1, 15))
    out, expected = hyper(q, k, v, projections=2, **options), naive_hyper(q, k, v, **options)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)


def test_gradients_with_a_mask() -> None:
    mask = torch.arange(11) < torch.tensor([[11], [5], [0]])
    leaves = [x.masked_fill(~mask[:, None, :, None], torch.nan).requires_grad_() for x in heads(3, b=3, n=11)]
    options: dict[str, Any] = {"block_size": 3, "directions": draw(4, 2, seed=1), "key_mask": mask, "query_mask": mask}
    options["sample"] = torch.tensor([0, 2, 2, 9, 4])
    found = gradients(hyper(*leaves, projections=2, **options), leaves)
    for one, other in zip(found, gradients(naive_hyper(*leaves, **options), leaves), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_a_sample_of_every_key_is_softmax_attention() -> None:
    """Each key once, or each three times: the estimate of what is outside the block is then what is there."""
    q, k, v = heads(1, n=24)
    for times in (1, 3):
        out = hyper(q, k, v, block_size=4, sample=torch.arange(24).repeat(times))
        torch.testing.assert_close(out, softmax(q, k, v), rtol=0, atol=1e-12)
    blind = hyper(q, k, v, block_size=4, sample_size=0)
    assert (blind - softmax(q, k, v)).abs().max() > 0.1


def test_the_error_falls_with_the_sample() -> None:
    q, k, v = heads(2, n=512, d=16)
    dense, errors = softmax(q, k, v), []
    for size in (0, 32, 512):
        out = hyper(q, k, v, block_size=32, sample_size=size, generator=torch.Generator().manual_seed(1))
        errors.append((out - dense).square().mean().sqrt().item())
    assert errors[2] < 0.4 * errors[1]
    assert errors[1] < errors[0]


@settings(max_examples=40)
@given(kept=st.lists(st.booleans(), min_size=1, max_size=40), block=st.integers(2, 9))
def test_a_padded_row_equals_its_unpadded_run(kept: list[bool], block: int) -> None:
    mask, n = torch.tensor([kept]), len(kept)
    layer = build("hyper", width=8, heads=2, block_size=block, key_block_size=block, sample_size=5, projections=3)
    layer = layer.double().eval()
    x = draw(1, n, 8, seed=1)
    if any(kept):
        padded = layer(x, x_mask=mask)[mask]
        torch.testing.assert_close(padded, layer(x[mask][None])[0], rtol=0, atol=1e-12)


def test_samples_are_uniform_over_the_real_keys_and_differ_between_heads_and_seeds() -> None:
    mask = torch.tensor([[True] * 50, [True, False] * 25])
    first, second = (sample_uniformly(3, 50, 20_000, seed=torch.tensor(seed), key_mask=mask) for seed in (7, 8))
    assert first.shape == (2, 3, 20_000)
    counts = torch.bincount(first[0, 0], minlength=50)
    assert 320 < counts.min() <= counts.max() < 480  # 400 expected, standard deviation 20
    assert mask[1][first[1]].all()
    assert len(first[1].unique()) == 25
    assert torch.equal(first[0], sample_uniformly(3, 50, 20_000, seed=torch.tensor(7)))
    for one, other in ((first[0, 0], first[0, 1]), (first[0, 0], second[0, 0])):
        assert (one == other).float().mean() < 0.03  # one in fifty agrees by chance


def test_evaluation_repeats_itself_and_training_samples_anew() -> None:
    layer = build("hyper", width=8, heads=2, block_size=4, sample_size=3, generator=torch.Generator().manual_seed(1))
    again = build("hyper", width=8, heads=2, block_size=4, sample_size=3, generator=torch.Generator().manual_seed(1))
    x = draw(1, 60, 8, seed=0).float()
    assert len({layer(x).sum().item() for _ in range(4)}) > 1
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    assert layer.state_dict().keys() >= {"seed", "directions"}
    assert torch.equal(layer.seed, again.seed)
    assert torch.equal(layer.directions, again.directions)
    assert "block_size=4, key_block_size=None, sample_size=3, projections=7" in repr(layer)


def test_a_nan_stays_in_its_block_unless_it_is_sampled() -> None:
    q, k, v = heads(1, b=1, h=1, n=12)
    options: dict[str, Any] = {"block_size": 4, "directions": draw(4, 2, seed=1), "projections": 2}
    v[0, 0, 5] = torch.nan
    # The key stays where it is, and so does its block.
    out = hyper(q, k, v, sample=torch.tensor([1, 2]), **options)
    assert out.isnan().any(-1).sum() == 4
    assert hyper(q, k, v, sample=torch.tensor([1, 5]), **options).isnan().all()


@pytest.mark.parametrize("place", range(10))
def test_a_nan_does_not_stand_in_for_an_empty_place(place: int) -> None:
    """Ten keys in three blocks leave two of twelve places empty, and a sample may name no key."""
    q, k, v = heads(1, b=1, h=1, n=12, m=10)
    v[0, 0, place] = torch.nan
    out = hyper(
        q,
        k,
        v,
        block_size=4,
        key_block_size=4,
        directions=draw(4, 2, seed=1),
        projections=2,
        sample=torch.tensor([-1, 10]),
    )
    assert out.isnan().any(-1).sum() == 4


def test_memory_grows_with_the_length_and_not_with_its_square() -> None:
    def used(n: int) -> int:
        q, k, v = (x.float() for x in heads(1, b=1, h=1, n=n, d=8))
        return peak_bytes(lambda: hyper(q, k, v, block_size=16, sample_size=16))

    short, long = used(1024), used(4096)
    assert long < 4.5 * short
    assert long < 4 * 4096**2 / 4


def test_cost_is_what_torch_counts() -> None:
    q, k, v = draw(1, 2, 24, 4, seed=0), draw(1, 2, 32, 4, seed=1), draw(1, 2, 32, 6, seed=2)
    sizes: dict[str, Any] = {"block_size": 6, "key_block_size": 8, "sample_size": 5, "projections": 3}
    for options, scores in (
        (sizes, 2 * 24 * (8 + 5)),
        ({**sizes, "block_size": 24, "key_block_size": 32}, 2 * 24 * 32),
    ):
        with FlopCounterMode(display=False) as counter:
            hyper(q, k, v, **options)
        assert HyperAttention.score_entries(heads=2, n=24, m=32, **options) == scores
        assert counter.get_total_flops() == HyperAttention.mix_flops(heads=2, n=24, m=32, d=4, e=6, **options)


def test_errors_name_the_numbers() -> None:
    x = torch.ones(2, 2, 6, 4)
    with pytest.raises(ValueError, match="block_size must be at least 1, got 0"):
        hyper(x, x, x, block_size=0)
    with pytest.raises(ValueError, match="projections must be at most 31, got 32"):
        hyper(x, x, x, projections=32)
    with pytest.raises(ValueError, match=r"\(4, 7\), got \(4, 3\)"):
        hyper(x, x, x, directions=torch.ones(4, 3))
    with pytest.raises(ValueError, match=r"\(b = 2, h = 2, s\), got \(3, 5\)"):
        hyper(x, x, x, sample=torch.zeros(3, 5, dtype=torch.long))
    with pytest.raises(TypeError, match="int32 or int64"):
        hyper(x, x, x, sample=torch.zeros(5))
    with pytest.raises(ValueError, match="sample_size must be at least 0, got -1"):
        build("hyper", width=8, heads=2, sample_size=-1)
