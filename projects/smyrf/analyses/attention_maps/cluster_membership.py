"""Table `cluster_membership`: do SMYRF's clusters follow what is in a picture? Queries that lie in a grid, by the cluster of one hash round."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from projects.smyrf.analyses.attention_maps.clusters import Clustering, collisions
from projects.smyrf.analyses.attention_maps.hash_ablation import layers_of
from projects.smyrf.analyses.attention_maps.subjects import captured_of, subject_of
from projects.smyrf.analyses.attention_maps.vectors import Subject
from regard_lab.common.images import encode
from regard_lab.experiment.run_result import RunResult

if TYPE_CHECKING:
    from projects.smyrf.config import Config

HEADS = 3  # whose clusters are shown
CROP = 64  # queries and keys of the membership matrix that is shown [figure]
THUMBNAIL = 96  # pixels of a side of the picture that is shown beside it


@torch.inference_mode()
def measure(config: Config, folder: Path) -> RunResult:
    """One round of clusters over all queries of a layer; means over the measured layers, heads and inputs:

    clusters             their number
    neighbours_together  pairs of queries beside or above one another in the grid that are in one cluster, in %
    chance               the same for any two queries of the grid, in %
    times_chance         the first over the second

    The first seed leaves exhibits of the last measured layer, its first input: the clusters of the first heads' queries
    as pictures, a part of the first head's matrix of which queries share a cluster with which keys, and the picture.

    Raises:
        ValueError: The model's queries do not lie in a grid.
    """
    assert config.analysis is not None
    attention, root = config.attention, Path.cwd()
    subject, captured = subject_of(config, root), captured_of(config, root)
    if subject.grid is None:
        raise ValueError(f"the queries of analysis.model={config.analysis.model} do not lie in a grid")
    clustering = Clustering(1, attention.cluster_size, attention.scheme)
    layers = layers_of(config.analysis.layers, len(captured.layers))
    of_layers = []
    for layer in layers:
        x = captured.layers[layer]
        queries, keys = clustering.labels(x, clustering.directions(x, config.seed, layer))
        of_layers.append(together(grid_of(queries[0], subject.grid)))
    mean, chance = torch.tensor(of_layers).mean(0).tolist()
    exhibits = exhibits_of(subject, queries[:, :1], keys[:, :1]) if config.seed == 0 else {}
    number = clustering.number(captured.layers[0].q.shape[2])
    metrics = {"clusters": number, "neighbours_together": mean, "chance": chance, "times_chance": mean / chance}
    return RunResult(metrics=metrics, exhibits=exhibits | ({"layer": layers[-1]} if exhibits else {}))


def grid_of(labels: Tensor, grid: tuple[int, int]) -> Tensor:
    """Labels (b, h, n), whose last rows · columns queries lie in the grid, -> (b, h, rows, columns)."""
    return torch.unflatten(labels[..., -grid[0] * grid[1] :], -1, grid)


def together(labels: Tensor) -> tuple[float, float]:
    """Pairs in one cluster, in %: of neighbours in the grid, and of any two; labels (b, h, rows, columns)."""
    down, right = labels[..., 1:, :] == labels[..., :-1, :], labels[..., 1:] == labels[..., :-1]
    neighbours = torch.cat([down.flatten(2), right.flatten(2)], -1).double().mean()
    flat = labels.flatten(0, 1).flatten(1).long()
    n = flat.shape[1]
    counts = torch.zeros(len(flat), int(flat.max()) + 1, dtype=torch.double, device=flat.device).scatter_add_(
        1, flat, torch.ones_like(flat, dtype=torch.double)
    )
    any_two = (counts * (counts - 1)).sum(1).mean() / (n * (n - 1))
    return 100 * float(neighbours), 100 * float(any_two)


def exhibits_of(subject: Subject, queries: Tensor, keys: Tensor) -> dict[str, Any]:
    """The exhibits of one input; labels (1, 1, h, n) and (1, 1, h, m)."""
    assert subject.grid is not None
    heads = grid_of(queries[0, 0], subject.grid)
    colours = palette(int(queries.max()) + 1)
    matrix = collisions(queries, keys)[0, 0, :CROP, :CROP].cpu().numpy()
    exhibits: dict[str, Any] = {
        "heads": [encode(colours[head.long().cpu().numpy()]) for head in heads[:HEADS]],
        "matrix": encode(np.where(matrix, 0, 255).astype(np.uint8)),
    }
    if subject.pictures is not None:
        exhibits["picture"] = encode(thumbnail(subject.pictures[0]))
    return exhibits


def palette(number: int) -> NDArray[np.uint8]:
    """One colour per cluster, (number, 3), in the order of the hash: like colours are near hashes."""
    import matplotlib

    return (255 * matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, number))[:, :3]).round().astype(np.uint8)


def thumbnail(picture: Tensor) -> NDArray[np.uint8]:
    """A picture (height, width, 3) or (height, width) uint8, scaled down."""
    from PIL import Image

    image = Image.fromarray(picture.numpy())
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.asarray(image)
