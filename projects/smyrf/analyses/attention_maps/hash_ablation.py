"""Tables `lsh_ablation` and `merges`: how much of a trained model's dense attention do SMYRF's clusters hold, by hash?

No weight is changed. The queries and keys are the inputs of dense attention inside the model; every scheme gets the
same ones, and the clusters of each layer are drawn anew by the seed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from projects.smyrf.analyses.attention_maps.clusters import Clustering, collisions
from projects.smyrf.analyses.attention_maps.subjects import captured_of, subject_of
from projects.smyrf.analyses.attention_maps.vectors import Vectors, dense, result_with
from regard.cost import score_memory
from regard_lab.experiment.run_result import RunResult

if TYPE_CHECKING:
    from projects.smyrf.config import Config


@torch.inference_mode()
def measure(config: Config, folder: Path) -> RunResult:
    """Means over the measured layers, and over heads, queries and inputs:

    score_memory      rounds · keys per cluster, in % of all keys
    captured_mass     dense softmax mass on the keys that share a cluster with a query in any round, in %
    times_chance      that over what clusters blind to content hold on average, 1 − (1 − keys per cluster / keys)^rounds
    attention_error   ‖SMYRF's output − dense output‖ / ‖dense output‖ of a layer
    result_cosine     of the model's result with SMYRF in every layer, nothing retrained, to that with dense attention
    """
    assert config.analysis is not None
    attention, root = config.attention, Path.cwd()
    merge = attention.dedup, attention.hash_rounds
    clustering = Clustering(attention.rounds, attention.cluster_size, attention.scheme, *merge)
    captured = captured_of(config, root)
    layers = layers_of(config.analysis.layers, len(captured.layers))
    of_layers = [of_layer(captured.layers[layer], clustering, config.seed, layer) for layer in layers]
    mass, error = (sum(values) / len(layers) for values in zip(*of_layers, strict=True))
    swapped = result_with(
        subject_of(config, root),
        lambda layer, x: clustering.attend(x, clustering.directions(x, config.seed, layer)),
    )
    share = key_share(captured.layers[0], clustering)
    return RunResult(
        metrics={
            "score_memory": 100 * clustering.rounds * share,
            "captured_mass": 100 * mass,
            "times_chance": mass / (1 - (1 - share) ** clustering.rounds),
            "attention_error": error,
            "result_cosine": float(torch.cosine_similarity(swapped, captured.result).mean()),
        }
    )


def of_layer(x: Vectors, clustering: Clustering, seed: int, layer: int) -> tuple[float, float]:
    """The captured mass, 0 to 1, and the relative error of the output."""
    directions = clustering.directions(x, seed, layer)
    mass = captured_mass(x, *clustering.labels(x, directions))
    expected = dense(x)
    error = torch.linalg.vector_norm(clustering.attend(x, directions) - expected) / torch.linalg.vector_norm(expected)
    return mass, float(error)


def captured_mass(x: Vectors, queries: Tensor, keys: Tensor) -> float:
    """The dense mass on the keys in a query's clusters, the mean over queries, heads and inputs; labels (r, b, h, n) and (r, b, h, m)."""
    return float((x.weights() * collisions(queries, keys)).sum(-1).mean())


def key_share(x: Vectors, clustering: Clustering) -> float:
    """Keys per cluster over all keys; times the rounds, the score memory over that of dense attention."""
    n, m = x.q.shape[2], x.k.shape[2]
    return score_memory("smyrf", n=n, m=m, rounds=1, cluster_size=clustering.cluster_size)


def layers_of(chosen: list[int] | None, there: int) -> list[int]:
    """The numbers of the layers to measure out of `there`; ValueError for one that the model does not have."""
    if chosen is not None and (unknown := [layer for layer in chosen if layer >= there]):
        raise ValueError(f"there is no layer {', '.join(map(str, unknown))}; the model has 0 … {there - 1}")
    return list(range(there)) if chosen is None else chosen
