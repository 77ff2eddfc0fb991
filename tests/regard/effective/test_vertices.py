"""A vertex: by hand, and against a linear program."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from regard.effective import effective_attention
from regard.effective.spaces import basis
from tests.regard.effective.attention_rows import head


def test_a_vertex_by_hand():
    """Weights 0.1, 0.6, 0.3 on values 0, 1, 2: the lightest goes first; 0.1 of it and 0.1 of the third make 0.2 of the second."""
    attention, values = (
        torch.tensor([[0.1, 0.6, 0.3]], dtype=torch.float64),
        torch.tensor([[0.0], [1.0], [2.0]]).double(),
    )
    assert effective_attention(attention, values, definition="E3")[0].tolist() == pytest.approx([0, 0.8, 0.2])


def test_a_vertex_is_one():
    """Its weights are no more than the rank, independent, and a linear program over its support has no other solution."""
    attention, values = head(6, 50, 5, scale=2.0)
    equations = torch.cat([values, torch.ones(50, 1, dtype=torch.float64)], 1)
    span = basis(equations, torch.ones(50, dtype=torch.bool))
    for row, found in zip(attention, effective_attention(attention, values, definition="E3"), strict=True):
        support = found > 1e-12
        assert int(support.sum()) <= 6
        assert int(torch.linalg.matrix_rank(equations[support])) == int(support.sum())
        place = int(found.argmax())
        objective = np.eye(50)[place]
        bounds = [(0, 1 if there else 0) for there in support.tolist()]
        target = (row @ span).numpy()
        ends = [
            sign * linprog(sign * objective, A_eq=span.numpy().T, b_eq=target, bounds=bounds).fun for sign in (1, -1)
        ]
        assert ends == pytest.approx([float(found[place])] * 2, abs=1e-6)
