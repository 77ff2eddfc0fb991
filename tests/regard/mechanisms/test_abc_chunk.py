"""Running slots: products where they are exact, each row's own sum where they are not, and segments one after the other."""

from typing import Any

import pytest
import torch
from torch import Tensor

from regard.mechanisms.abc import abc, chunk, naive_abc
from tests.regard.vectors import draw, gradients, peak_bytes


def leaping(leap: float, *, n: int = 40, rows: tuple[int, ...] = (5, 21), dtype: torch.dtype = torch.float64) -> Any:
    """q, k, v and slots: the logits of slot 0 leap by `leap` at each of the rows, inside a chunk."""
    q, k, v = (draw(2, 2, n, 4, seed=seed) for seed in range(3))
    slots = {"key_slots": draw(4, 3, seed=3), "value_slots": draw(4, 3, seed=4)}
    for x, slot in ((k, slots["key_slots"]), (v, slots["value_slots"])):
        slot[0, 0] = leap
        x[..., 0] = torch.zeros(n).index_fill(0, torch.tensor(rows), 1).cumsum(0)
    return [x.to(dtype).requires_grad_() for x in (q, k, v)], {name: slot.to(dtype) for name, slot in slots.items()}


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The forms that ran, segment after segment."""
    forms: list[str] = []
    products, rows = chunk._matmul_form, chunk._rowwise_form

    def by_products(*arguments: Any) -> Any:
        found = products(*arguments)
        forms.extend(["products"] if found is not None else [])
        return found

    def by_rows(*arguments: Any) -> Any:
        forms.append("rows")
        return rows(*arguments)

    monkeypatch.setattr(chunk, "_matmul_form", by_products)
    monkeypatch.setattr(chunk, "_rowwise_form", by_rows)
    return forms


def assert_is_the_definition(inputs: list[Tensor], slots: dict[str, Tensor], tolerance: float, **options: Any) -> None:
    wide = [x.detach().double().requires_grad_() for x in inputs]
    mask = {"key_mask": options["key_mask"]} if "key_mask" in options else {}
    out = abc(*inputs, causal=True, **slots, **options)
    expected = naive_abc(*wide, causal=True, **{name: slot.double() for name, slot in slots.items()}, **mask)
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=tolerance)
    for found, right in zip(gradients(out, inputs), gradients(expected, wide), strict=True):
        torch.testing.assert_close(
            found.double(), right, rtol=0, atol=tolerance * right.abs().max().clamp(min=1).item()
        )


@pytest.mark.parametrize("leap", [12.0, 200.0, 1000.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 5e-4), (torch.float64, 1e-9)])
@pytest.mark.parametrize("masked", [False, True])
def test_logits_that_leap_inside_a_chunk(
    leap: float, dtype: torch.dtype, tolerance: float, masked: bool, chosen: list[str]
) -> None:
    inputs, slots = leaping(leap, dtype=dtype)
    mask = {"key_mask": torch.arange(40) >= torch.tensor([[0], [3]])} if masked else {}
    assert_is_the_definition(inputs, slots, tolerance, **mask)
    bound = 35 if dtype == torch.float32 else 336  # beyond it the weights before the two leaps would be next to nothing
    assert chosen == ["rows" if 2 * leap > bound else "products"]


def test_the_two_forms_follow_each_other(chosen: list[str]) -> None:
    inputs, slots = leaping(400.0, n=300, rows=(70, 130))  # chunks of 4, segments of 64
    assert_is_the_definition(inputs, slots, 1e-9, chunk=4)
    assert chosen == ["products", "rows", "rows", "products", "products"]


def test_masked_tokens_are_no_leap(chosen: list[str]) -> None:
    inputs, slots = leaping(1.0, n=70)
    mask = torch.arange(70) >= torch.tensor([[9], [70]])
    assert_is_the_definition(inputs, slots, 1e-9, key_mask=mask, chunk=4)
    assert chosen == ["products", "products"]


def test_a_nan_reaches_the_segments_after_its_own_and_no_row_before() -> None:
    q, k, v = (draw(1, 2, 70, 4, seed=seed) for seed in range(3))
    slots = {"key_slots": draw(4, 3, seed=3), "value_slots": draw(4, 3, seed=4)}
    clean = abc(q, k, v, causal=True, chunk=1, **slots)  # segments of 16
    k[:, 1, 20, 2] = torch.nan
    out = abc(q, k, v, causal=True, chunk=1, **slots)
    torch.testing.assert_close(out[:, 0], clean[:, 0])
    torch.testing.assert_close(out[:, 1, :20], clean[:, 1, :20])
    assert out[:, 1, 20:].isnan().all()


@pytest.mark.parametrize("big", [1e30, 1e38])
def test_logits_that_overflow_change_no_earlier_row(big: float) -> None:
    q, k, v = (draw(1, 1, 40, 4, seed=seed).float() for seed in range(3))
    slots = {"key_slots": draw(4, 3, seed=3).float(), "value_slots": draw(4, 3, seed=4).float()}
    before = abc(q, k, v, causal=True, **slots)
    k[:, :, 25] = v[:, :, 25] = big
    torch.testing.assert_close(abc(q, k, v, causal=True, **slots)[:, :, :25], before[:, :, :25])


def test_a_compiled_graph_takes_any_logits() -> None:
    compiled = torch.compile(abc, fullgraph=True, backend="aot_eager")
    inputs, slots = leaping(400.0, n=24)
    torch.testing.assert_close(compiled(*inputs, causal=True, **slots), naive_abc(*inputs, causal=True, **slots))


def test_memory_is_that_of_a_segment() -> None:
    q, k, v = (draw(1, 1, 8192, 16, seed=seed, dtype=torch.float32) for seed in range(3))
    slots = {"key_slots": draw(16, 16, seed=3).float(), "value_slots": draw(16, 16, seed=4).float()}
    assert peak_bytes(lambda: abc(q, k, v, causal=True, **slots)) < 2 * 4 * (4 * 8192 * 16)  # 2 × (q + k + v + out)
