"""Table `singular_values`: are trained attention maps of low rank? The spectra of dense softmax maps, layer by layer and head by head."""

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

TENTH = 0.1  # of the largest: below it a singular value counts as small; [our choice], as the figure's curves are flat there
FULL = 0.9  # a map is (nearly) of full rank if that share of its singular values is not small; [our choice]
POINTS = 48  # of a curve in the exhibits: enough for a figure, few enough for a result that is in Git


@torch.inference_mode()
def measure(config: Config, folder: Path) -> RunResult:
    """Over all heads of the measured layers, on each input: how large the largest singular value is, and how soon they become small.

    index_median, index_lower, index_upper   median and quartiles of the index, from 0, of the first singular value below a tenth of the largest
    index_share        the median as a share of the number of singular values, in %
    stable_rank        median of Σ σ_i² / σ_0²
    full_rank_heads    heads whose map is (nearly) of full rank, in %: at least 90 % of its singular values are at least a tenth of the largest
    largest_least, largest_most              the smallest and the largest σ_0 of any head

    The first seed leaves the curves of its first input as an exhibit: `index`, and `curves[layer][head]`.
    """
    assert config.analysis is not None
    captured = captured_of(config, Path.cwd())
    layers = layers_of(config.analysis.layers, len(captured.layers))
    spectra = torch.stack([torch.linalg.svdvals(captured.layers[layer].weights()) for layer in layers])  # layers b h s
    exhibits = {"layers": layers, **curves(spectra[:, 0])} if config.seed == 0 else {}
    return RunResult(metrics=summary(spectra.flatten(0, 2)), exhibits=exhibits)


def summary(spectra: Tensor) -> dict[str, float]:
    """The metrics of spectra (maps, s), each in falling order."""
    maps, s = spectra.shape
    large = (spectra >= TENTH * spectra[:, :1]).sum(-1)
    lower, median, upper = torch.quantile(
        large.double(), torch.tensor([0.25, 0.5, 0.75]).to(large.device).double()
    ).tolist()
    return {
        "index_median": median,
        "index_lower": lower,
        "index_upper": upper,
        "index_share": 100 * median / s,
        "stable_rank": float((spectra.square().sum(-1) / spectra[:, 0].square()).quantile(0.5)),
        "full_rank_heads": 100 * float((large >= FULL * s).sum()) / maps,
        "largest_least": float(spectra[:, 0].min()),
        "largest_most": float(spectra[:, 0].max()),
    }


def curves(spectra: Tensor) -> dict[str, list[int] | list[list[list[float]]]]:
    """Spectra (layers, h, s) at `POINTS` indices, evenly spaced, with four decimals."""
    s = spectra.shape[-1]
    index = torch.linspace(0, s - 1, min(POINTS, s)).round().long()
    values = [[[round(value, 4) for value in head] for head in layer] for layer in spectra[..., index].tolist()]
    return {"index": index.tolist(), "curves": values}
