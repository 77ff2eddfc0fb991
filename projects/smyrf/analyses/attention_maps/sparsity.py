"""Table `sparsity`: how few of a dense attention map's weights matter?

The released code has a script that reads, of every map, the share of weights "under K/N", the share under 0.01 and the
largest weight, and prints mean ± standard deviation over maps; what K was, and the paper's numbers, are not known to
us. Here N is the number of keys and K is 1: 1/N is the mean weight, which every key has if a query attends to all
alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from projects.smyrf.analyses.attention_maps.hash_ablation import layers_of
from projects.smyrf.analyses.attention_maps.subjects import captured_of
from regard_lab.experiment.run_result import RunResult

if TYPE_CHECKING:
    from projects.smyrf.config import Config

K = 1  # [our choice]
SMALL = 0.01  # [code]


@torch.inference_mode()
def measure(config: Config, folder: Path) -> RunResult:
    """Mean and standard deviation over maps (every head of the measured layers, on each input):

    under_mean     weights below K/N = 1/N, in %
    under_small    weights below 0.01, in %
    largest        the largest weight of the map, 0 to 1
    """
    assert config.analysis is not None
    captured = captured_of(config, Path.cwd())
    layers = layers_of(config.analysis.layers, len(captured.layers))
    of_maps = torch.cat([statistics(captured.layers[layer].weights()) for layer in layers])
    names = ("under_mean", "under_small", "largest")
    means, sds = of_maps.mean(0).tolist(), of_maps.std(0).tolist()
    spread = {f"{name}_sd": sd for name, sd in zip(names, sds, strict=True)}
    return RunResult(metrics=dict(zip(names, means, strict=True)) | spread)


def statistics(weights: Tensor) -> Tensor:
    """Maps (b, h, n, m) -> (b · h, 3): % below K/m, % below 0.01, the largest weight; in float64."""
    maps = weights.flatten(0, 1).flatten(1)
    under = [100 * (maps < limit).sum(-1).double() / maps.shape[1] for limit in (K / weights.shape[-1], SMALL)]
    return torch.stack([*under, maps.amax(-1).double()], -1)
