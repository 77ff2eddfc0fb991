"""A generator trained with one attention and run with another, none retrained: table `biggan_swap`, figures `biggan_swap`, `biggan_degradation`."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

import regard
from projects.smyrf.data.pictures import as_bytes
from projects.smyrf.models.biggan import Attend, Generator
from projects.smyrf.tasks.gan.generators import dense, generator, of_classes, pictures, weights
from projects.smyrf.tasks.gan.scores import judge_of
from regard.attention import identity_values
from regard.bench.memory import peak_of
from regard.bench.timing import elapsed_s
from regard_lab.common.images import encode, grid
from regard_lab.experiment.run_result import RunResult

if TYPE_CHECKING:
    from projects.smyrf.config import Attention, Config

INSPECTED = 8  # pictures whose attention maps are computed
Batches = Iterable[tuple[Tensor, Tensor]]


def measure(config: "Config", folder: Path) -> RunResult:
    """Score the pictures of a trained generator with the cell's attention in its block.

    score_memory    entries of the score matrix, in % of the dense one
    captured_mass   dense softmax mass on the keys in a query's clusters, in %, mean over queries
    sigma_share     the largest singular value of the dense map, in % of the most it can be, √queries: the mean over some pictures
    gamma           the size of the block's gain, |γ|: how much the attention counts
    time_ms         of a batch: the whole generator's time
    peak_mib        of a batch: the most that the attention holds beyond its inputs, its output included, as measured

    and those of the judge (`scores`) and of the likeness to dense attention. The exhibit `pictures` holds one picture
    per class of `evaluation.shown`, one below the other.
    """
    assert config.gan is not None
    evaluation, seed = config.gan.evaluation, config.seed
    state = weights(config)
    swapped = generator(config.gan.network, state, config.attention)
    original = generator(config.gan.network, state, dense(config.attention))
    likeness = Likeness()
    sets = (
        pictures(model, evaluation.images, evaluation.batch_size, seed, evaluation.clamp)
        for model in (swapped, original)
    )
    scores = judge_of(config).scores(likeness.passing(*sets), evaluation.images)
    shown = as_bytes(of_classes(swapped, evaluation.shown, seed, evaluation.clamp))
    q, k, v = attention_inputs(swapped, evaluation.batch_size, seed)
    attend = swapped.attention.attend
    return RunResult(
        metrics=scores
        | likeness.means()
        | {
            "score_memory": score_memory(config.attention, q.shape[2]),
            "captured_mass": 100 * captured_mass(attend, q[:INSPECTED], k[:INSPECTED]),
            "sigma_share": sigma_share(q[:INSPECTED], k[:INSPECTED]),
            "gamma": abs(float(swapped.attention.gamma.detach())),
            "time_ms": 1e3 * seconds(swapped, evaluation.batch_size, evaluation.timings, seed),
            "peak_mib": peak_mib(attend, q, k, v),
        },
        exhibits={"pictures": encode(grid(shown, columns=1))},
    )


def score_memory(attention: "Attention", queries: int) -> float:
    """Entries of the score matrices in % of the dense one: rounds · queries per cluster / queries."""
    return 100.0 if attention.name == "softmax" else 100 * attention.rounds * attention.cluster_size / queries


class Likeness:
    """How like pictures are to those that the same latents give with dense attention.

    Gathered while pictures pass: a judge takes them from `passing`, and the means are complete when it has had them all.
    """

    def __init__(self) -> None:
        self._distances: list[Tensor] = []
        self._similarities: list[Tensor] = []

    def passing(self, pictures: Batches, originals: Batches) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of `pictures` as they are, each compared with that of `originals`."""
        for (one, labels), (other, _) in zip(pictures, originals, strict=True):
            self._distances.append((one - other).abs().mean((1, 2, 3)))
            self._similarities.append(
                structural_similarity_index_measure(one, other, data_range=2.0, reduction="none").flatten()  # type: ignore[union-attr]
            )
            yield one, labels

    def means(self) -> dict[str, float]:
        """`pixel_distance`: mean absolute difference, in % of the range from black to white; `similarity`: the structural one, 1 for equals."""
        distance, similarity = (
            float(torch.cat(values).double().mean()) for values in (self._distances, self._similarities)
        )
        return {"pixel_distance": 50 * distance, "similarity": similarity}


@torch.no_grad()
def attention_inputs(model: Generator, batch_size: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The queries (b, 1, n, d), keys (b, 1, m, d) and values (b, 1, m, e) of one batch."""
    caught: list[tuple[Tensor, Tensor, Tensor]] = []
    hook = model.attention.attend.register_forward_pre_hook(lambda module, inputs: caught.append(inputs))
    next(pictures(model, batch_size, batch_size, seed))
    hook.remove()
    return caught[0]


@torch.no_grad()
def captured_mass(attend: Attend, q: Tensor, k: Tensor) -> float:
    """The share of the dense softmax's mass on the keys that share a cluster with a query in any round, mean over queries, 0 to 1."""
    if attend.name == "softmax":
        return 1.0
    # With a scale of 0 all keys in a query's clusters weigh the same, however far apart the scores.
    collisions: Tensor = regard.functional.smyrf(
        q,
        k,
        identity_values(k),
        rounds=attend.rounds,
        cluster_size=attend.cluster_size,
        key_cluster_size=attend.cluster_size // 4,
        scheme=attend.scheme,
        scale=0.0,
        generator=torch.Generator(q.device).manual_seed(attend.seed),
    )
    weights = (q @ k.mT).softmax(-1)
    return float((weights * (collisions > 0)).sum(-1).double().mean())


def sigma_share(q: Tensor, k: Tensor) -> float:
    """The largest singular value of the dense map of q (b, 1, n, d) and k (b, 1, m, d) over √n, in %.

    √n is reached where all queries attend to one key; n / σ² is how many keys take the attention of nearly all queries.
    """
    maps = (q @ k.mT).softmax(-1)
    largest = torch.linalg.matrix_norm(maps.double(), 2).mean()
    return 100 * float(largest) / math.sqrt(q.shape[2])


def seconds(model: Generator, batch_size: int, timings: int, seed: int) -> float:
    """The median time of the whole generator on one batch, after a first call."""
    times = [elapsed_s(lambda: next(pictures(model, batch_size, batch_size, seed))) for _ in range(timings + 1)]
    return median(times[1:])


@torch.no_grad()
def peak_mib(attend: Attend, q: Tensor, k: Tensor, v: Tensor) -> float:
    """The most that the attention holds beyond its inputs, its output included, measured."""
    attend(q[:1], k[:1], v[:1])
    return peak_of(lambda: attend(q, k, v)).extra_mib
