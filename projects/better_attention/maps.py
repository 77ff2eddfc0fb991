"""What seed 0's cells of Standard and Super leave for a figure: where the last block looks, on two digits and one review.

Of each input: the weights S (tokens × tokens), the mean over heads, and what really weighs the values: S for Standard, S W^A for Super, which may
be negative. Matrices are pictures in 8 bits with their least and greatest value beside them.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from projects.better_attention.config import Config
from projects.better_attention.data import PADDING, words
from regard.observers import Observation, observe
from regard_lab.common import images


def exhibits(config: Config, model: nn.Module, inputs: Tensor) -> dict[str, Any]:
    """The maps of the first `budget.attention_maps` of `inputs`, the test split, that have no padding."""
    if config.data.vocabulary is not None:
        inputs = inputs[(inputs != PADDING).all(1)]
    chosen = inputs[: config.budget.attention_maps]
    shown = []
    for example in chosen:
        if config.data.vocabulary is None:
            what: dict[str, Any] = {"picture": images.encode(example.numpy())}
        else:
            spoken = words(config.data, Path.cwd())
            what = {"words": [spoken[number] for number in example.tolist()]}
        shown.append({**what, **looked(model, example[None])})
    return {"attention_maps": shown}


@torch.no_grad()
def looked(model: nn.Module, example: Tensor) -> dict[str, Any]:
    """The two matrices of the last attention for one example (1, …), as `packed` pictures."""
    seen: list[Observation] = []
    model.eval()
    with observe(model, seen.append):
        model(example.to(next(model.parameters()).device))
    weights = seen[-1].probabilities[0].mean(0)  # n m
    return {"weights": packed(weights), "effective": packed(effective(seen[-1]))}


def effective(seen: Observation) -> Tensor:
    """The matrix (n, m) that weighs the layer's own values, the mean over heads: S, or S W^A."""
    weights = seen.probabilities[0].mean(0)
    if seen.mechanism != "super":
        return weights
    assert seen.layer is not None
    mixing = seen.layer.get_parameter("mixing.weight")
    return weights @ mixing[: weights.shape[1], : weights.shape[1]]


def packed(matrix: Tensor) -> dict[str, Any]:
    """A matrix in 8 bits: {"picture", "low", "high"}."""
    low, high = float(matrix.min()), float(matrix.max())
    levels = (matrix.cpu().double() - low) / max(high - low, 1e-12) * 255
    return {"picture": images.encode(levels.round().numpy().astype(np.uint8)), "low": low, "high": high}


def unpacked(stored: dict[str, Any]) -> np.ndarray:
    """The matrix that `packed` wrote, to 1/255 of its range."""
    matrix: np.ndarray = stored["low"] + images.decode(stored["picture"]) / 255 * (stored["high"] - stored["low"])
    return matrix
