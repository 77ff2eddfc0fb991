"""Rotary positions: by hand, and by distance alone."""

import math

import torch

from regard_lab.common.rotary import rotated


def test_a_turn_by_hand():
    x = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])  # one pair of coordinates: the angle is the position
    found = rotated(x, 0, 10_000.0)[0, 0]
    assert torch.allclose(found, torch.tensor([[1.0, 0.0], [math.cos(1), math.sin(1)]]))
    four = rotated(torch.tensor([[[[0.0, 1.0, 0.0, 0.0]]]]), 3, 100.0)[
        0, 0, 0
    ]  # the second pair turns by 3 / 100^(1/2)
    assert torch.allclose(four, torch.tensor([0.0, math.cos(0.3), 0.0, math.sin(0.3)]))


def test_turned_products_depend_on_the_distance_alone():
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64)
    near = rotated(q, 7, 10_000.0) @ rotated(k, 4, 10_000.0).mT
    far = rotated(q, 107, 10_000.0) @ rotated(k, 104, 10_000.0).mT
    assert torch.allclose(near, far, atol=1e-5)
    assert not torch.allclose(near, rotated(q, 8, 10_000.0) @ rotated(k, 4, 10_000.0).mT, atol=1e-3)
