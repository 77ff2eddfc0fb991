"""Where a NaN or an infinity goes: by hand, and against plain loops."""

import pytest
import torch

from regard.common.nonfinite import (
    any_before,
    any_in_window,
    row_nan_mark,
    zero_and_mark_causal,
    zero_nonfinite,
    zero_nonfinite_causal,
)

NAN, INF = torch.nan, torch.inf


def column(*values: float) -> torch.Tensor:
    """One head of one batch row, one number wide: (1, 1, n, 1)."""
    return torch.tensor(values, dtype=torch.float32)[None, None, :, None]


def test_what_is_not_finite_becomes_zero_and_is_told() -> None:
    x, where = zero_nonfinite(torch.tensor([1.0, NAN, -INF, INF, 0.0]))
    assert x.tolist() == [1, 0, 0, 0, 0]
    assert where.tolist() == [False, True, True, True, False]


def test_a_key_poisons_every_column_from_its_row_on_and_a_value_its_own() -> None:
    k = column(1, 1, NAN, 1)
    v = torch.tensor([[1.0, 2.0], [3.0, INF], [5.0, 6.0], [7.0, 8.0]])[None, None]
    k, v, poisoned = zero_nonfinite_causal(k, v)
    assert k.flatten().tolist() == [1, 1, 0, 1]
    assert v[0, 0].tolist() == [[1, 2], [3, 0], [5, 6], [7, 8]]
    assert poisoned[0, 0].tolist() == [[False, False], [False, True], [True, True], [True, True]]


@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 0), (0, 3), (1, 1), (50, 50)])
def test_any_in_a_window_against_a_loop(before: int, after: int) -> None:
    rows = torch.rand(2, 3, 17, 2, generator=torch.Generator().manual_seed(0)) < 0.2
    expected = torch.stack([rows[:, :, max(0, i - before) : i + after + 1].any(2) for i in range(17)], 2)
    assert torch.equal(any_in_window(rows, before, after), expected)


@pytest.mark.parametrize("chunk", [1, 4, 17, 20])
def test_any_in_earlier_chunks_against_a_loop(chunk: int) -> None:
    rows = torch.rand(2, 3, 17, 2, generator=torch.Generator().manual_seed(0)) < 0.2
    expected = torch.stack([rows[:, :, : i // chunk * chunk].any(2) for i in range(17)], 2)
    assert torch.equal(any_before(rows, chunk), expected)


def test_a_causal_mark_begins_at_its_row() -> None:
    x, mark = zero_and_mark_causal(column(1, INF, 2, NAN))
    assert x.flatten().tolist() == [1, 0, 2, 0]
    assert mark.isnan().flatten().tolist() == [False, True, True, True]
    assert mark.flatten()[0] == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_row_is_marked_alone_and_a_sum_in_half_precision_does_not_overflow(dtype: torch.dtype) -> None:
    x = torch.tensor([[6e4, 6e4], [1.0, NAN], [INF, -INF], [0.0, 1.0]], dtype=dtype)  # 65,504 is float16's largest
    mark = row_nan_mark(x)
    assert mark.dtype == dtype
    assert mark.isnan().flatten().tolist() == [False, True, True, False]
    assert mark[[0, 3]].flatten().tolist() == [0, 0]


def test_marks_have_no_gradient() -> None:
    x = column(1, 2).requires_grad_()
    assert not row_nan_mark(x).requires_grad
    assert not zero_and_mark_causal(x)[1].requires_grad
