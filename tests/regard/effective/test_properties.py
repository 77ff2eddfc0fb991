"""The two questions about a candidate, by hand."""

import torch

from regard.effective.properties import distributions, output_error

VALUES = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, -1.0]])  # the middle one is the mean of the others


def test_the_error_is_the_largest_entry_of_a_row() -> None:
    attention = torch.tensor([[0.5, 0.0, 0.5], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    effective = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert output_error(effective, attention, VALUES).tolist() == [0, 1, 2]
    assert output_error(effective, attention, VALUES).dtype == torch.float64


def test_rounding_of_single_precision_is_seen() -> None:
    attention = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    assert output_error(attention + 1e-12, attention, VALUES.double()).item() > 1e-12


def test_which_rows_are_distributions() -> None:
    rows = torch.tensor(
        [[0.5, 0.5], [1.0, 1e-9], [1.0, 1e-7], [1 + 1e-11, -1e-11], [1 + 1e-9, -1e-9], [0.0, 0.0]], dtype=torch.float64
    )
    assert distributions(rows).tolist() == [True, True, False, True, False, False]
    assert distributions(rows, sum_within=1.0, least=-1.0).all()
