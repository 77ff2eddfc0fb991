"""Rotary positions: by hand, by distance alone, and in each mechanism against its plain reference."""

import math

import pytest
import torch

from projects.better_attention.config import FOUR
from projects.better_attention.models.rotary import rotary_layer, rotated, state_bytes
from regard.mechanisms.softmax import naive_softmax


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


@pytest.mark.parametrize("attention", FOUR)
@pytest.mark.parametrize("bias", [False, True])
def test_the_layer_turns_queries_and_keys_and_not_values(attention, bias):
    """Against the mechanism's plain reference on turned heads."""
    torch.manual_seed(0)
    layer = rotary_layer(attention, width=8, heads=2, length=9, base=100.0, bias=bias).double()
    x = torch.randn(3, 7, 8, dtype=torch.float64)

    def heads(name: str) -> torch.Tensor:
        mapped = getattr(layer, name)(x) if hasattr(layer, name) else x
        return mapped.view(3, 7, 2, 4).transpose(1, 2)

    q, k, v = heads("query"), heads("key"), heads("value")
    if attention == "super":
        with torch.no_grad():
            v = layer.mixing.weight[:7, :7].tril() @ v
            v = v + layer.mixing.bias[:7, None] if bias else v
    out = naive_softmax(rotated(q, 0, 100.0), rotated(k, 0, 100.0), v, causal=True)
    assert torch.allclose(layer(x), layer.output(out.transpose(1, 2).flatten(2)))


def test_super_says_where_it_ends():
    layer = rotary_layer("super", width=8, heads=2, length=2, base=100.0, bias=False)
    _, state = layer.step(torch.randn(1, 1, 8))
    _, state = layer.step(torch.randn(1, 1, 8), state)
    with pytest.raises(ValueError, match="of length 2 cannot take a token 3"):
        layer.step(torch.randn(1, 1, 8), state)


def test_a_storage_counts_once():
    x = torch.zeros(4, 6)
    assert state_bytes((x, (x[:2], x.T))) == 96
    assert state_bytes((x, x.clone())) == 192
