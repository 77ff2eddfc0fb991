"""Attention maps of Standard and Super, left by seed 0's cells for a figure: those of the last block, on two digits and one review.

Of each input: the weights S (tokens × tokens), the mean over heads, and the matrix that effectively weights the values:
S for Standard, S W^A for Super, which may be negative. Matrices are stored as 8-bit images, with their least and
greatest values beside them.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from projects.better_attention.config import Config
from projects.better_attention.data.labelled import PADDING, words
from regard.observers import Observation, observe
from regard_lab.common import images


def attention_maps(config: Config, model: nn.Module, inputs: Tensor) -> dict[str, Any]:
    """Maps to be kept in a cell's record.

    Args:
        config: `budget.attention_maps` says how many inputs have theirs kept.
        model: The trained model.
        inputs: The test split; texts with padding are passed over.

    Returns:
        {"attention_maps": one entry per input, with the input itself, `weights` and `effective`}.
    """
    if config.data.vocabulary is not None:
        inputs = inputs[(inputs != PADDING).all(1)]
    maps = []
    for example in inputs[: config.budget.attention_maps]:
        if config.data.vocabulary is None:
            shown: dict[str, Any] = {"picture": images.encode(example.numpy())}
        else:
            vocabulary = words(config.data, Path.cwd())
            shown = {"words": [vocabulary[number] for number in example.tolist()]}
        maps.append({**shown, **last_maps(model, example[None])})
    return {"attention_maps": maps}


@torch.no_grad()
def last_maps(model: nn.Module, example: Tensor) -> dict[str, Any]:
    """The two matrices of the last attention for one example (1, …), as `packed` images."""
    calls: list[Observation] = []
    model.eval()
    with observe(model, calls.append):
        model(example.to(next(model.parameters()).device))
    weights = calls[-1].probabilities[0].mean(0)  # n m
    return {"weights": packed(weights), "effective": packed(effective(calls[-1]))}


def effective(call: Observation) -> Tensor:
    """The matrix (n, m) that weights the layer's own values, the mean over heads: S, or S W^A."""
    weights = call.probabilities[0].mean(0)
    if call.mechanism != "super":
        return weights
    assert call.layer is not None
    mixing = call.layer.get_parameter("mixing.weight")
    return weights @ mixing[: weights.shape[1], : weights.shape[1]]


def packed(matrix: Tensor) -> dict[str, Any]:
    """A matrix in 8 bits: {"picture", "low", "high"}."""
    low, high = float(matrix.min()), float(matrix.max())
    levels = (matrix.cpu().double() - low) / max(high - low, 1e-12) * 255
    return {"picture": images.encode(levels.round().numpy().astype(np.uint8)), "low": low, "high": high}


def unpacked(stored: dict[str, Any]) -> NDArray[Any]:
    """The matrix that `packed` stored, to 1/255 of its range."""
    matrix: NDArray[Any] = stored["low"] + images.decode(stored["picture"]) / 255 * (stored["high"] - stored["low"])
    return matrix
