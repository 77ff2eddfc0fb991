"""ABC: the golden vectors, running slots, the released causal branch, steps, gradients."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from regard.certification import certify
from regard.mechanisms.abc import AbcAttention, abc, naive_abc
from regard.registry import build
from tests.paths import GOLDEN


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slots(d: int, e: int, c: int) -> dict[str, Tensor]:
    return {"key_slots": draw(d, c, seed=50), "value_slots": draw(e, c, seed=51)}


def golden(case: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    loaded = np.load(GOLDEN / f"abc-{case}.npz")
    arrays = {name: torch.from_numpy(loaded[name]) for name in loaded.files if name not in ("meta", "scale")}
    options = {"key_slots": arrays["phi_k"], "value_slots": arrays["phi_v"], "causal": case == "causal"}
    return arrays, {**options, "key_mask": arrays.get("key_mask")}


@pytest.mark.parametrize("case", ["self", "cross", "mask", "causal"])
@pytest.mark.parametrize("function", [abc, naive_abc])
def test_golden(case: str, function: Any) -> None:
    arrays, options = golden(case)
    out = function(arrays["q"], arrays["k"], arrays["v"], **options)
    torch.testing.assert_close(out, arrays["out"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("function", [abc, naive_abc])
def test_released_causal_weighs_only_the_current_key(function: Any) -> None:
    arrays, options = golden("causal")
    out = function(arrays["q"], arrays["k"], arrays["v"], variant="released", **options)
    torch.testing.assert_close(out, arrays["out_official"], rtol=0, atol=2e-5)
    assert (arrays["out_official"] - arrays["out"]).abs().max() > 1  # what the defect changes
    v = arrays["v"]
    cosine = torch.cosine_similarity(out, v, dim=-1)
    torch.testing.assert_close(cosine, torch.ones_like(cosine))  # every output is its own value, scaled


def test_certification_finds_the_released_causal_branch() -> None:
    options = {"variant": "released"}
    outcomes = certify("abc", ["causal_self"], options=options, properties=["causality", "mixing"])
    assert [(outcome.property, outcome.passed) for outcome in outcomes] == [("causality", True), ("mixing", False)]


@settings(deadline=None, max_examples=60)
@given(
    b=st.integers(0, 2),
    n=st.integers(1, 20),
    m=st.integers(1, 20),
    e=st.integers(1, 4),
    c=st.integers(1, 5),
    chunk=st.integers(1, 24),
    causal=st.booleans(),
    masked=st.booleans(),
    variant=st.sampled_from(["paper", "released"]),
    seed=st.integers(0, 1000),
)
def test_equals_the_definition(
    b: int, n: int, m: int, e: int, c: int, chunk: int, causal: bool, masked: bool, variant: str, seed: int
) -> None:
    m = n if causal else m
    q, k, v = draw(b, 2, n, 3, seed=seed), draw(b, 2, m, 3, seed=seed + 1), draw(b, 2, m, e, seed=seed + 2)
    mask = draw(b, m, seed=seed + 4) > 0.3 if masked else None  # some rows hold nothing real
    if mask is not None:
        k, v = (x.masked_fill(~mask[:, None, :, None], torch.nan) for x in (k, v))
    options: dict[str, Any] = {"causal": causal, "key_mask": mask, "scale": 0.7, "variant": variant, **slots(3, e, c)}
    out = abc(q, k, v, chunk=chunk, **options)
    torch.testing.assert_close(out, naive_abc(q, k, v, **options), rtol=0, atol=1e-10)


@pytest.mark.parametrize("causal", [False, True])
def test_gradients_with_a_mask(causal: bool) -> None:
    mask = torch.arange(11) >= torch.tensor(
        [[0], [3], [11]]
    )  # the first queries of row 1 see no key, those of row 2 none ever
    options = slots(4, 4, 3)
    k, v = (draw(3, 2, 11, 4, seed=seed).masked_fill(~mask[:, None, :, None], torch.nan) for seed in (1, 2))
    leaves = [draw(3, 2, 11, 4, seed=0), k, v, options["key_slots"], options["value_slots"]]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    weights = draw(3, 2, 11, 4, seed=10)
    gradients = []
    for function, extra in ((abc, {"chunk": 4}), (naive_abc, {})):
        out = function(*leaves[:3], causal=causal, key_mask=mask, **options, **extra)
        gradients.append(torch.autograd.grad((out * weights).sum(), leaves))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_a_later_key_of_any_size_changes_no_earlier_row() -> None:
    q, k, v = (draw(1, 1, 40, 4, seed=seed).float() for seed in range(3))
    options: dict[str, Any] = {name: slot.float() for name, slot in slots(4, 4, 3).items()}
    before = abc(q, k, v, causal=True, **options)
    k[:, :, 30:] *= 1e4
    v[:, :, 30:] *= 1e4
    after = abc(q, k, v, causal=True, **options)
    assert after.isfinite().all()
    torch.testing.assert_close(after[:, :, :30], before[:, :, :30], rtol=0, atol=1e-6)  # no more than rounding
    torch.testing.assert_close(after, naive_abc(q, k, v, causal=True, **options), rtol=1e-3, atol=1e-3)


def test_causal_is_noncausal_on_every_prefix() -> None:
    q, k, v = (draw(1, 2, 9, 4, seed=seed) for seed in range(3))
    causal = abc(q, k, v, causal=True, **slots(4, 4, 3))
    for i in range(9):
        prefix = abc(q[:, :, i : i + 1], k[:, :, : i + 1], v[:, :, : i + 1], **slots(4, 4, 3))
        torch.testing.assert_close(causal[:, :, i : i + 1], prefix, rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_steps_equal_the_parallel_form(variant: str) -> None:
    layer = build("abc", width=8, heads=2, pattern="causal_self", slots=3, variant=variant).double()
    x, state, rows = draw(2, 21, 8, seed=0), None, []
    for t in range(21):
        y, state = layer.step(x[:, t : t + 1], state)
        rows.append(y)
    torch.testing.assert_close(torch.cat(rows, 1), layer(x), rtol=0, atol=1e-12)
    assert "slots=3" in repr(layer)


def test_cost_is_what_torch_counts() -> None:
    q, k, v = draw(1, 2, 20, 4, seed=0), draw(1, 2, 30, 4, seed=1), draw(1, 2, 30, 6, seed=2)
    with FlopCounterMode(display=False) as counter:
        abc(q, k, v, **slots(4, 6, 5))
    assert counter.get_total_flops() == AbcAttention.mix_flops(heads=2, n=20, m=30, d=4, e=6, slots=5)
    assert AbcAttention.score_entries(heads=2, n=20, m=30, slots=5) == 2 * 5 * (30 + 30 + 20)
    # 512 wide, 8 heads, 16 slots: what CAB's class has
    assert AbcAttention.parameter_count(width=512, heads=8, length=1, slots=16) == 1_052_672


def test_errors_name_the_numbers() -> None:
    x = torch.ones(2, 2, 6, 4)
    good = {name: slot.float() for name, slot in slots(4, 4, 3).items()}
    with pytest.raises(ValueError, match="n = 6 and m = 5"):
        abc(x, x[:, :, :5], x[:, :, :5], causal=True, **good)
    with pytest.raises(ValueError, match=r"\(d = 4, c\) and \(e = 4, c\) with c ≥ 1, got \(4, 3\) and \(5, 3\)"):
        abc(x, x, x, key_slots=good["key_slots"], value_slots=torch.ones(5, 3))
    with pytest.raises(ValueError, match="'paper', 'released', got 'mine'"):
        abc(x, x, x, variant="mine", **good)
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
        abc(x, x, x, chunk=0, **good)
    with pytest.raises(ValueError, match="slots must be at least 1, got 0"):
        build("abc", width=8, heads=2, slots=0)
