"""Counted, not timed: how many parameters a real layer has and what it multiplies in one forward pass."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from projects.better_attention.config import Config, tokens_of
from projects.better_attention.models.layers import attention_layer
from regard.attention import Attention
from regard_lab.experiment.run_result import RunResult


class MatrixProducts(TorchFunctionMode):
    """Counts matrix products while it is entered, and their FLOPs, 2 per multiply-add. A fused attention is two: Q Kᵀ and S V."""

    def __init__(self) -> None:
        super().__init__()
        self.count = self.flops = 0

    def __torch_function__(
        self, function: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        if function is F.linear or function in (Tensor.__matmul__, Tensor.matmul, torch.matmul):
            self._add(out.numel(), args[0].shape[-1])
        elif function is F.scaled_dot_product_attention:
            q, k, v = args[:3]
            self._add(math.prod(q.shape[:-1]) * k.shape[-2], q.shape[-1])
            self._add(out.numel(), v.shape[-2])
        return out

    def _add(self, entries: int, inner: int) -> None:
        self.count += 1
        self.flops += 2 * entries * inner


def count(config: Config, folder: Path) -> RunResult:
    """Of one layer: `parameters` (biases among them), `matmuls_per_head` (without W^O, as the paper counts), `flop_ratio` to Standard."""
    model, width, length = config.model, config.model.width, tokens_of(config.data)
    layer = empty_layer(model.attention, width, length, model.heads)
    flops = products(layer, length).flops
    return RunResult(
        metrics={
            "parameters": parameters(layer),
            "matmuls_per_head": products(empty_layer(model.attention, width, length, heads=1), length).count - 1,
            "flop_ratio": flops / products(empty_layer("softmax", width, length, model.heads), length).flops,
        }
    )


def break_even(config: Config, folder: Path) -> RunResult:
    """The longest input at which the configured attention still has fewer parameters, or multiplies less, than Standard of the same width.

    Found by bisection between 1 and 4 w on real layers; without biases, as the paper's break-even is of the weights.
    """
    name, width, heads = config.model.attention, config.model.width, config.model.heads

    def fewer_parameters(length: int) -> bool:
        ours, standard = (empty_layer(layer, width, length, heads, bias=False) for layer in (name, "softmax"))
        return parameters(ours) < parameters(standard)

    def fewer_flops(length: int) -> bool:
        ours, standard = (products(empty_layer(layer, width, length, heads), length) for layer in (name, "softmax"))
        return ours.flops < standard.flops

    longest = {"parameters": last_true(fewer_parameters, 4 * width), "flops": last_true(fewer_flops, 4 * width)}
    return RunResult(metrics={f"longest_{cost}": float(length) for cost, length in longest.items()})


def last_true(holds: Callable[[int], bool], most: int) -> int:
    """The last of 1 … `most` for which a condition holds that, once it fails, fails for all after; 0 if it never holds."""
    low, high = 0, most + 1  # holds at low, if low is a length; not at high, if high is one
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def empty_layer(attention: str, width: int, length: int, heads: int, bias: bool = True) -> Attention:
    """A layer of that attention on the meta device, without memory of its own: only its shapes are needed."""
    with torch.device("meta"):
        return attention_layer(attention, width=width, heads=heads, length=length, bias=bias)


def parameters(layer: Attention) -> int:
    """How many parameters the layer has."""
    return sum(parameter.numel() for parameter in layer.parameters())


@torch.no_grad()
def products(layer: Attention, length: int) -> MatrixProducts:
    """The matrix products of one forward pass on one input of that length."""
    counted = MatrixProducts()
    with counted:
        layer(torch.empty(1, length, layer.width, device="meta"))
    return counted
