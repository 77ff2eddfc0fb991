"""A generator trained with one attention and run with another, none retrained: table `biggan_swap`, figures `biggan_swap`, `biggan_degradation`."""

import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch import Tensor

import regard
from projects.smyrf.gan.generators import dense, generator, of_classes, pictures, weights
from projects.smyrf.gan.likeness import Likeness
from projects.smyrf.gan.networks import Attend, Generator
from projects.smyrf.gan.pictures import as_bytes
from projects.smyrf.gan.scores import judge_of
from regard.attention import identity_values
from regard.bench.memory import peak_of
from regard_lab.common.images import encode, grid
from regard_lab.experiment.run_result import RunResult

if TYPE_CHECKING:
    from projects.smyrf.config import Attention, Config

LOOKED_AT = 8  # pictures whose attention maps are laid open


def run(config: "Config", folder: Path) -> RunResult:
    """Score the pictures of a trained generator with the cell's attention in its block.

    score_memory    entries of the score matrix, in % of the dense one
    captured_mass   dense softmax mass on the keys that a query meets, in %, mean over queries
    gamma           the size of the block's gain, |γ|: how much the attention counts
    time_ms         of a batch: the whole generator's time
    peak_mib        of a batch: the most that the attention holds beyond its inputs, its output included, as measured

    and those of the judge (`scores`) and of the likeness to dense attention. The exhibit `pictures` holds one picture a class of `evaluation.shown`,
    one below the other.
    """
    assert config.gan is not None
    evaluation, seed = config.gan.evaluation, config.seed
    state = weights(config)
    made = generator(config.gan.network, state, config.attention)
    original = generator(config.gan.network, state, dense(config.attention))
    likeness = Likeness()
    sets = (pictures(one, evaluation.images, evaluation.batch_size, seed, evaluation.clamp) for one in (made, original))
    scores = judge_of(config).scores(likeness.passing(*sets), evaluation.images)
    shown = as_bytes(of_classes(made, evaluation.shown, seed, evaluation.clamp))
    q, k, v = attended(made, evaluation.batch_size, seed)
    attend = made.attention.attend
    return RunResult(
        metrics=scores
        | likeness.means()
        | {
            "score_memory": score_memory(config.attention, q.shape[2]),
            "captured_mass": 100 * captured_mass(attend, q[:LOOKED_AT], k[:LOOKED_AT]),
            "gamma": abs(float(made.attention.gamma.detach())),
            "time_ms": 1e3 * seconds(made, evaluation.batch_size, evaluation.timings, seed),
            "peak_mib": peak_mib(attend, q, k, v),
        },
        exhibits={"pictures": encode(grid(shown, columns=1))},
    )


def score_memory(attention: "Attention", queries: int) -> float:
    """Entries of the score matrices in % of the dense one: rounds · keys a cluster / keys, which is rounds · queries a cluster / queries."""
    return 100.0 if attention.name == "softmax" else 100 * attention.rounds * attention.cluster_size / queries


@torch.no_grad()
def attended(made: Generator, batch_size: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The queries (b, 1, n, d), keys and values of one batch."""
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    hook = made.attention.attend.register_forward_pre_hook(lambda module, inputs: found.append(inputs))
    next(pictures(made, batch_size, batch_size, seed))
    hook.remove()
    return found[0]


@torch.no_grad()
def captured_mass(attend: Attend, q: Tensor, k: Tensor) -> float:
    """The share of the dense softmax's mass on the keys that a query meets in any round, mean over queries, 0 to 1."""
    if attend.name == "softmax":
        return 1.0
    met = (
        regard.functional.smyrf(  # with a scale of 0 all keys that are met weigh the same, however far apart the scores
            q,
            k,
            identity_values(k),
            rounds=attend.rounds,
            cluster_size=attend.cluster_size,
            key_cluster_size=attend.cluster_size // 4,
            scheme=attend.scheme,
            scale=0.0,
            generator=torch.Generator().manual_seed(attend.seed),
        )
    )
    weights = (q @ k.mT).softmax(-1)
    return float((weights * (met > 0)).sum(-1).double().mean())


def seconds(made: Generator, batch_size: int, timings: int, seed: int) -> float:
    """The median time of the whole generator on one batch, after a first call."""
    found = []
    for _ in range(timings + 1):
        started = time.perf_counter()
        next(pictures(made, batch_size, batch_size, seed))
        found.append(time.perf_counter() - started)
    return median(found[1:])


@torch.no_grad()
def peak_mib(attend: Attend, q: Tensor, k: Tensor, v: Tensor) -> float:
    """The most that the attention holds beyond its inputs, its output included, measured."""
    attend(q[:1], k[:1], v[:1])
    return peak_of(lambda: attend(q, k, v)).extra_mib
