"""What a layer has and multiplies, and up to which length Super saves anything."""

import math

import pytest
import torch

from projects.better_attention.analyses import costs
from projects.better_attention.config import FOUR, PROJECT
from projects.better_attention.models.layers import attention_layer
from regard import cost
from tests.configs import configs_of

config_of = configs_of(PROJECT, default="experiment=imdb")


def test_products_are_counted_in_a_real_pass():
    """Width 8, 2 heads, 3 tokens: four maps of 2 · 3 · 8 · 8, and Q Kᵀ and S V of 2 · 2 · 3 · 3 · 4 each."""
    counted = costs.products(costs.empty_layer("softmax", 8, 3, 2), 3)
    assert (counted.count, counted.flops) == (6, 4 * 384 + 2 * 144)
    for name in (
        "optimised",
        "efficient",
        "super",
        "mixer",
        "uniform_mixed",
        "softmax_mixed",
        "super_per_head",
        "orthogonal",
    ):
        with torch.device("meta"):
            layer = attention_layer(name, width=8, heads=2, length=3)
        assert costs.products(layer, 3).flops == cost.flops(type(layer), width=8, heads=2, n=3)


@pytest.mark.parametrize(("attention", "matmuls"), list(zip(FOUR, (5, 4, 3, 4), strict=True)))
def test_counts_of_the_paper(attention, matmuls, tmp_path):
    config = config_of("table=counts", f"model.attention={attention}", "model.width=256", "data.length=144")
    metrics = costs.count(config, tmp_path).metrics
    assert metrics["matmuls_per_head"] == matmuls
    assert metrics["parameters"] == dict(zip(FOUR, (263168, 197376, 131584, 152464), strict=True))[attention]
    ratio = dict(zip(FOUR, (1, 0.805, 0.610, 0.720), strict=True))[attention]
    assert metrics["flop_ratio"] == pytest.approx(ratio, abs=5e-4)


@pytest.mark.parametrize("width", [32, 64])
def test_break_even(width, tmp_path):
    metrics = costs.break_even(config_of("model.attention=super", f"model.width={width}"), tmp_path).metrics
    assert metrics == {"longest_parameters": math.floor(2**0.5 * width), "longest_flops": 2 * width - 1}


def test_the_last_true():
    for last in range(6):
        assert costs.last_true(lambda length, last=last: length <= last, 5) == last
