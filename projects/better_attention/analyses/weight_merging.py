"""Standard attention's maps merged into fewer: exact with one head, and not with more.

    (x W^Q + b_Q) (x W^K + b_K)ᵀ = (x W^Q W^Kᵀ + b_Q W^Kᵀ) xᵀ + what is the same for all keys, and so cancels in softmax
    S (x W^V + b_V) W^O + b_O    = S x (W^V W^O) + b_V W^O + b_O                          because rows of S sum to 1

So W^Q ← W^Q W^Kᵀ and W^O ← W^V W^O, with biases, turn Standard into Efficient; the second alone into Optimised; with
W^A = 1 Efficient is Super. With h > 1 heads the same merging gives another function: head i of Standard reads x W_i^V,
any d columns, and head i of the others block i of x.
"""

import copy

import torch
from torch import nn

from projects.better_attention.models.encoder import Encoder
from projects.better_attention.models.layers import attention_layer
from regard.attention import Attention


@torch.no_grad()
def merged(standard: Attention, attention: str, length: int) -> Attention:
    """Another attention with the maps of a Standard layer merged into its own.

    Args:
        standard: A layer of softmax attention.
        attention: softmax, optimised, efficient or super.
        length: That of Super.
    """
    if attention == "softmax":
        return copy.deepcopy(standard)
    layer = attention_layer(attention, width=standard.width, heads=standard.heads, length=length)
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
    # d^(-1/2) is of the head's width, which merging leaves as it is
    return layer


def merged_model(model: Encoder, attention: str) -> Encoder:
    """A copy of an encoder with Standard attention in which every attention layer is merged."""
    copied = copy.deepcopy(model)
    for block in copied.blocks:
        assert isinstance(block.attention, Attention)
        block.attention = merged(block.attention, attention, len(copied.position))
    return copied


@torch.no_grad()
def merging_error(attention: str, *, width: int, heads: int, length: int, seed: int) -> float:
    """The largest difference between a random Standard layer and its merging, over the largest output, in float64: 0 if they are the same function.

    Args:
        attention: What the layer is merged into.
        width: Of the layer.
        heads: Of the layer.
        length: Of the random input.
        seed: Of the layer and its input.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        standard = attention_layer("softmax", width=width, heads=heads, length=length).double()
        for parameter in standard.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # biases are initialised as zero, which would hide a slip
        layer = merged(standard, attention, length)
        x = torch.randn(2, length, width, dtype=torch.float64)
    expected = standard(x)
    return float((layer(x) - expected).abs().max() / expected.abs().max())
