"""Standard attention's maps folded into fewer: exact with one head, and not with more.

    (x W^Q + b_Q) (x W^K + b_K)ᵀ = (x W^Q W^Kᵀ + b_Q W^Kᵀ) xᵀ + what is the same for all keys, and so nothing under softmax
    S (x W^V + b_V) W^O + b_O    = S x (W^V W^O) + b_V W^O + b_O                          because rows of S sum to 1

So W^Q ← W^Q W^Kᵀ and W^O ← W^V W^O, with their biases, make Efficient of Standard; the second alone makes Optimised; with W^A = 1 Efficient is Super.
With h > 1 heads the same folding gives another function: head i of Standard reads x W_i^V, any d columns, and head i of the others block i of x.
"""

import copy
from typing import Any

import torch
from torch import nn

from regard.attention import Attention
from regard.registry import build


@torch.no_grad()
def folded(standard: Attention, attention: str, length: int) -> Attention:
    """`attention` (softmax, optimised, efficient or super) with the maps of a Standard layer folded in. `length` is that of Super."""
    if attention == "softmax":
        return copy.deepcopy(standard)
    options = {"length": length} if attention == "super" else {}
    layer: Attention = build(attention, width=standard.width, heads=standard.heads, **options)
    layer.to(standard.get_parameter("query.weight").dtype)
    old, new = dict(standard.named_parameters()), dict(layer.named_parameters())
    if attention == "optimised":
        for name in ("query.weight", "query.bias", "key.weight", "key.bias"):
            new[name].copy_(old[name])
    else:  # nn.Linear holds each map transposed
        new["query.weight"].copy_(old["key.weight"].T @ old["query.weight"])
        new["query.bias"].copy_(old["query.bias"] @ old["key.weight"])
    new["output.weight"].copy_(old["output.weight"] @ old["value.weight"])
    new["output.bias"].copy_(old["output.weight"] @ old["value.bias"] + old["output.bias"])
    if attention == "super":
        nn.init.eye_(new["mixing.weight"])
        nn.init.zeros_(new["mixing.bias"])
    # d^(-1/2) is of the head's width, which folding leaves as it is
    return layer


def folded_model(model: nn.Module, attention: str) -> nn.Module:
    """A copy of a model of Standard attention in which every attention layer is folded."""
    copied: Any = copy.deepcopy(model)
    for block in copied.blocks:
        block.attention = folded(block.attention, attention, len(copied.position))
    return copied  # type: ignore[no-any-return]


@torch.no_grad()
def folding_error(attention: str, *, width: int, heads: int, length: int, seed: int) -> float:
    """The greatest difference between a random Standard layer and its folding, over the greatest output, in float64: 0 if they are one function."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        standard: Attention = build("softmax", width=width, heads=heads).double()
        for parameter in standard.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # biases begin at zero, and would hide a slip
        layer = folded(standard, attention, length)
        x = torch.randn(2, length, width, dtype=torch.float64)
    expected = standard(x)
    return float((layer(x) - expected).abs().max() / expected.abs().max())
