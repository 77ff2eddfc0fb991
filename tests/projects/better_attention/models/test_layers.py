"""Attention layers by name."""

import pytest

from projects.better_attention.config import CONTROLS
from projects.better_attention.models.layers import attention_class, attention_layer, attention_parameters
from regard.registry import UnknownMechanism


@pytest.mark.parametrize("name", [*CONTROLS, "softmax", "super"])
def test_a_layer_is_told_the_length_if_it_wants_one(name):
    layer = attention_layer(name, width=32, heads=4, length=7)
    assert type(layer) is attention_class(name)
    assert getattr(layer, "length", 7) == 7
    assert attention_parameters(layer) == sum(parameter.numel() for parameter in layer.parameters())


def test_an_unknown_attention_is_told_the_nearest():
    with pytest.raises(UnknownMechanism, match="Did you mean 'super'"):
        attention_layer("supre", width=32, heads=4, length=7)
