"""Long-short attention: the golden vectors, blocks against the definition, the released memory, gradients."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from regard.mechanisms.longshort import LongShortAttention, longshort, naive_longshort
from regard.mechanisms.longshort.blocks import CAUSAL, NONCAUSAL, POSITIONS, sinusoids
from regard.registry import build
from tests.paths import GOLDEN


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def arrays(h: int, d: int, columns: int, causal: bool, positions: bool) -> dict[str, Tensor]:
    """Drawn arrays of `longshort` for x of width h d."""
    w = h * d
    needed = CAUSAL + (POSITIONS if positions else ()) if causal else NONCAUSAL
    shapes = {needed[0]: (h * columns, w), needed[1]: (h * columns,), **dict.fromkeys(needed[2:], (w,))}
    shapes |= {"W_r": (w, w), "W_rc": (w, w), "r_w_bias": (h, d), "r_r_bias": (h, d)}
    return {name: draw(*shapes[name], seed=100 + i) / 2 for i, name in enumerate(needed)}


def golden(case: str) -> tuple[tuple[Tensor, ...], dict[str, Any], dict[str, Tensor]]:
    loaded = np.load(GOLDEN / f"longshort-{case}.npz")
    every = {name: torch.from_numpy(loaded[name]) for name in loaded.files if name != "meta"}
    options = json.loads(str(loaded["meta"]))["options"]
    given = {name: every[name] for name in NONCAUSAL + CAUSAL + POSITIONS if name in every}
    given |= {"x": every["x"], "window": options["window"], "key_mask": every.get("key_mask")}
    if "chunk" in options:
        given |= {"causal": True, "chunk": options["chunk"]}
    return (every["q"], every["k"], every["v"]), given, every


@pytest.mark.parametrize("case", ["self", "ragged-mask", "causal-nopos", "causal"])
@pytest.mark.parametrize("function", [longshort, naive_longshort])
def test_golden(case: str, function: Any) -> None:
    heads, options, every = golden(case)
    torch.testing.assert_close(function(*heads, **options), every["out"], rtol=0, atol=2e-5)


def test_released_memory_takes_softmax_mass() -> None:
    heads, options, every = golden("causal-nopos")
    # Query 0 sees itself alone, so that its output is its own value; the release mixes that with vectors of an empty memory.
    own = torch.nn.functional.layer_norm(heads[2][:, :, 0].flatten(1), (16,), options["ln_win_w"], options["ln_win_b"])
    ours = longshort(*heads, **options)[:, :, 0].flatten(1)
    torch.testing.assert_close(ours, own, rtol=0, atol=2e-5)
    assert (every["out_official"][:, :, 0].flatten(1) - own).abs().max() > 0.5


@settings(deadline=None, max_examples=60)
@given(
    b=st.integers(0, 2),
    h=st.integers(1, 2),
    n=st.integers(1, 20),
    window=st.integers(1, 24),
    chunk=st.integers(1, 9),
    columns=st.integers(1, 3),
    causal=st.booleans(),
    positions=st.booleans(),
    masked=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_equals_the_definition(
    b: int,
    h: int,
    n: int,
    window: int,
    chunk: int,
    columns: int,
    causal: bool,
    positions: bool,
    masked: bool,
    seed: int,
) -> None:
    q, k, v = (draw(b, h, n, 4, seed=seed + i) for i in range(3))
    x = draw(b, n, 4 * h, seed=seed + 3)
    mask = draw(b, n, seed=seed + 4) > 0.3 if masked else None  # some rows hold nothing real
    if mask is not None:
        q, k, v = (y.masked_fill(~mask[:, None, :, None], torch.nan) for y in (q, k, v))
        x = x.masked_fill(~mask[:, :, None], 1e9)
    options: dict[str, Any] = {"x": x, "window": window, "chunk": chunk, "causal": causal, "key_mask": mask}
    options |= {"scale": 0.7, **arrays(h, 4, columns, causal, positions)}
    found, expected = longshort(q, k, v, **options), naive_longshort(q, k, v, **options)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("causal", [False, True])
def test_gradients_with_a_mask(causal: bool) -> None:
    mask = torch.arange(13) < torch.tensor([[13], [6], [0]])
    heads = (draw(3, 2, 13, 4, seed=i).masked_fill(~mask[:, None, :, None], torch.nan) for i in range(3))
    leaves = dict(zip("qkv", heads, strict=True))
    leaves = {**leaves, "x": draw(3, 13, 8, seed=3), **arrays(2, 4, 2, causal, positions=True)}
    leaves = {name: leaf.requires_grad_() for name, leaf in leaves.items()}
    weights, gradients = draw(3, 2, 13, 4, seed=4), []
    for function in (longshort, naive_longshort):
        out = function(**leaves, window=4, chunk=3, causal=causal, key_mask=mask)
        gradients.append(torch.autograd.grad((out * weights).sum(), list(leaves.values()), materialize_grads=True))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_noncausal_window_is_a_block_with_its_margins() -> None:
    q, k, v = (draw(1, 1, 20, 4, seed=seed) for seed in range(3))
    options: dict[str, Any] = {
        "x": torch.zeros(1, 20, 4, dtype=torch.float64),
        "window": 6,
        **arrays(1, 4, 1, False, False),
    }
    options["ln_short_w"] = options["ln_short_b"] = torch.zeros(
        4, dtype=torch.float64
    )  # the compression carries nothing
    before = longshort(q, k, v, **options)
    v[:, :, 9, 0] += 1  # not all features: LayerNorm would take that away
    changed = (longshort(q, k, v, **options) - before).abs().amax((0, 1, 3)) > 1e-9
    assert changed.nonzero()[:, 0].tolist() == list(
        range(6, 18)
    )  # blocks 1 and 2 reach 3 beyond their ends; block 0 ends at 8


def test_a_window_of_one_sees_one_key_beyond_each_end() -> None:
    q, k, v = (draw(1, 1, 9, 4, seed=seed) for seed in range(3))
    options: dict[str, Any] = {
        "x": torch.zeros(1, 9, 4, dtype=torch.float64),
        "window": 1,
        **arrays(1, 4, 1, False, False),
    }
    options["ln_short_w"] = options["ln_short_b"] = torch.zeros(4, dtype=torch.float64)
    before = longshort(q, k, v, **options)
    v[:, :, 4, 0] += 1
    changed = (longshort(q, k, v, **options) - before).abs().amax((0, 1, 3)) > 1e-9
    assert changed.nonzero()[:, 0].tolist() == [3, 4, 5]


def test_sinusoids() -> None:
    table = sinusoids(torch.tensor([0, 3]), 4, torch.float64)
    three = torch.tensor([3.0, 0.03], dtype=torch.float64)
    torch.testing.assert_close(table[0], torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(table[1], torch.cat((three.sin(), three.cos())))


def test_parameter_counts_are_those_of_the_released_classes() -> None:
    assert LongShortAttention.parameter_count(width=512, heads=8, length=1) == 1_118_336
    causal = LongShortAttention.parameter_count(width=512, heads=8, length=1, pattern="causal_self", bias=False)
    assert causal == 1_580_552
    assert build("longshort", width=8, heads=2).window == 15
    assert build("longshort", width=8, heads=2, pattern="causal_self").window == 256


@pytest.mark.parametrize("positions", [False, True])
def test_cost_is_what_torch_counts(positions: bool) -> None:
    layer = build(
        "longshort", width=8, heads=2, pattern="causal_self", window=6, chunk=4, chunk_rank=2, positions=positions
    )
    q, k, v, x = *(draw(1, 2, 21, 4, seed=seed).float() for seed in range(3)), draw(1, 21, 8, seed=3).float()
    with FlopCounterMode(display=False) as counter:
        layer.mix(q, k, v, None, x=x)
    options: dict[str, Any] = {"window": 6, "chunk": 4, "chunk_rank": 2, "positions": positions}
    options["pattern"] = "causal_self"
    counted = LongShortAttention.mix_flops(heads=2, n=21, m=21, d=4, e=4, **options)
    assert counter.get_total_flops() == counted
    # five chunks before the last query's, two vectors each; six keys of the window; two columns of the compression
    assert LongShortAttention.score_entries(heads=2, n=21, m=21, **options) == 2 * 21 * (10 + 6 + 2)


def test_noncausal_cost_by_hand() -> None:
    # a head of n = 10 in blocks of 4 (12 queries), 4 + 2 · 2 keys and 3 landmarks, d = 4, width 8:
    # compression 10 · 3 · (8 + 2 · 4), attention 12 · (8 + 3) · 2 · 4
    options: dict[str, Any] = {"landmarks": 3, "window": 4}
    flops = LongShortAttention.mix_flops(heads=2, n=10, m=10, d=4, e=4, **options)
    assert flops == 2 * 2 * (10 * 3 * 16 + 12 * 11 * 2 * 4)
    assert LongShortAttention.score_entries(heads=2, n=10, m=10, **options) == 2 * 10 * (3 + 8 + 3)


def test_errors_name_the_numbers() -> None:
    q, x, good = torch.ones(1, 2, 6, 4), torch.ones(1, 6, 8), {}
    for name, array in arrays(2, 4, 1, False, False).items():
        good[name] = array.float()
    with pytest.raises(ValueError, match="n = 6 and m = 5"):
        longshort(q, q[:, :, :5], q[:, :, :5], x=x, window=3, **good)
    with pytest.raises(ValueError, match=r"x must be \(b = 1, n = 6, width\), got \(1, 5, 8\)"):
        longshort(q, q, q, x=x[:, :5], window=3, **good)
    with pytest.raises(ValueError, match=r"v must be as q, \(1, 2, 6, 4\), got \(1, 2, 6, 3\)"):
        longshort(q, q, q[..., :3], x=x, window=3, **good)
    with pytest.raises(ValueError, match="window must be at least 1, got 0"):
        longshort(q, q, q, x=x, window=0, **good)
    with pytest.raises(TypeError, match=r"causal = True needs the arrays W_dconv, .*, got W_p"):
        longshort(q, q, q, x=x, window=3, causal=True, **good)
    with pytest.raises(ValueError, match="W_p must have a multiple of h = 2 rows, got 3"):
        longshort(q, q, q, x=x, window=3, **{**good, "W_p": torch.ones(3, 8)})
    with pytest.raises(ValueError, match=r"ln_long_w must be \(8,\), got \(7,\)"):
        longshort(q, q, q, x=x, window=3, **{**good, "ln_long_w": torch.ones(7)})
    with pytest.raises(ValueError, match="landmarks must be at least 1, got 0"):
        build("longshort", width=8, heads=2, landmarks=0)
    with pytest.raises(ValueError, match="even width, got 3"):
        build("longshort", width=3, heads=1, pattern="causal_self")
