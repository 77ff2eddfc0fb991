"""Rotary positions in each mechanism against its plain reference."""

import pytest
import torch

from projects.better_attention.config import FOUR
from projects.better_attention.models.rotary import rotary_layer, state_bytes
from regard.mechanisms.softmax import naive_softmax
from regard_lab.common.rotary import rotated


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
