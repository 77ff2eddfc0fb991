"""The smallest and the most even row with the same output, against another solver."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from regard.effective import effective_attention
from tests.regard.effective.attention_rows import head


def test_e4_is_e2_where_e2_has_no_negative_entry():
    attention, values = head(40, 64, 4, scale=1.0)
    e2, e4 = (effective_attention(attention, values, definition=name) for name in ("E2", "E4"))
    fine = (e2 >= 0).all(-1)
    assert 0 < int(fine.sum()) < 40
    assert torch.allclose(e4[fine], e2[fine], atol=1e-12)
    assert not torch.allclose(e4[~fine], e2[~fine], atol=1e-4)


@pytest.mark.parametrize(
    ("definition", "objective"), [("E4", lambda p: 0.5 * p @ p), ("E5", lambda p: p @ np.log(np.maximum(p, 1e-300)))]
)
def test_least_norm_and_most_entropy_against_scipy(definition, objective):
    attention, values = head(4, 24, 3, scale=2.0)
    equations = torch.cat([values, torch.ones(24, 1, dtype=torch.float64)], 1).numpy()
    for row, found in zip(
        attention.numpy(), effective_attention(attention, values, definition=definition).numpy(), strict=True
    ):
        constraint = {"type": "eq", "fun": lambda p, row=row: (p - row) @ equations}
        solved = minimize(
            objective,
            row,
            constraints=constraint,
            bounds=[(0, 1)] * 24,
            method="SLSQP",
            options={"ftol": 1e-12, "maxiter": 500},
        )
        assert objective(found) <= solved.fun + 1e-7
        assert np.abs(found - solved.x).max() < 2e-3
