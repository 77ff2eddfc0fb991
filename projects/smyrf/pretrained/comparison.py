"""Dense attention against SMYRF in one model, on a user's inputs: similarity, perplexity, score memory, measured memory and time."""

import math
import statistics
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from projects.smyrf.pretrained.checkpoints import Checkpoint
from projects.smyrf.pretrained.outputs import Output, cosine, forward, output, tokens_of
from projects.smyrf.pretrained.swapping import Swap, swapped
from regard.bench.memory import Peak, peak_of
from regard.bench.timing import elapsed_s

PARTS = (0.5, 0.25, 0.125, 0.0625)  # of the dense score memory, for a sweep
SMALL_MIB = 1.0  # a peak below it says nothing against a page of memory


@dataclass(frozen=True)
class Comparison:
    """One SMYRF setting; ratios are over dense attention by the fused kernel, on the longest input.

    `score_memory` is the mean over inputs, 0 to 1; `perplexity` and `dense_perplexity` are those of a causal model; `peak_ratio` is None where the
    peaks are too small to compare.
    """

    rounds: int
    cluster_size: int
    score_memory: float
    cosine_mean: float
    cosine_least: float
    dense_perplexity: float | None
    perplexity: float | None
    peak_ratio: float | None
    time_ratio: float


def cluster_sizes_for(rounds: int, n: int) -> list[int]:
    """Cluster sizes that make these parts of the dense score memory of n tokens, or a little more, and more than one cluster."""
    return sorted({size for part in PARTS if (size := math.ceil(part * n / rounds)) < n}, reverse=True)


def compare(checkpoint: Checkpoint, inputs: list[Tensor], swaps: list[Swap], repeats: int) -> list[Comparison]:
    """One comparison a swap. Raises ValueError for an attention that the model asks for and SMYRF does not have."""
    with swapped(checkpoint.model, None):
        dense = [output(checkpoint, x) for x in inputs]
    longest = max(inputs, key=lambda x: x.numel())
    times = in_turns(checkpoint, longest, [None, *swaps], repeats)
    peaks = [peak(checkpoint, longest, swap) for swap in [None, *swaps]]
    found = []
    for swap, own_time, own_peak in zip(swaps, times[1:], peaks[1:], strict=True):
        with swapped(checkpoint.model, swap):
            made = [output(checkpoint, x) for x in inputs]
        similar = list(map(cosine, dense, made))
        found.append(
            Comparison(
                rounds=swap.rounds,
                cluster_size=swap.cluster_size,
                score_memory=statistics.fmean(score_memory(checkpoint, swap, x) for x in inputs),
                cosine_mean=statistics.fmean(similar),
                cosine_least=min(similar),
                dense_perplexity=perplexity(dense),
                perplexity=perplexity(made),
                peak_ratio=peak_ratio(own_peak, peaks[0]),
                time_ratio=own_time / times[0],
            )
        )
    return found


def score_memory(checkpoint: Checkpoint, swap: Swap, x: Tensor) -> float:
    """The part of the dense score entries that one input takes; a cluster larger than the input takes all."""
    n = tokens_of(checkpoint, x)
    return (
        min(1.0, swap.score_memory(n, checkpoint.kind == "causal", checkpoint.layers)) if n > swap.cluster_size else 1.0
    )


def perplexity(outputs: list[Output]) -> float | None:
    """e to the mean cross entropy of all next tokens; None for a model that predicts none."""
    nats = torch.cat([each.nats for each in outputs])
    return math.exp(float(nats.mean())) if len(nats) else None


def in_turns(checkpoint: Checkpoint, x: Tensor, swaps: list[Swap | None], repeats: int) -> list[float]:
    """The least time of a forward pass with each attention, all in turns after a first round that is not counted."""
    times: list[list[float]] = [[] for _ in swaps]
    for _ in range(repeats + 1):
        for own, swap in zip(times, swaps, strict=True):
            with swapped(checkpoint.model, swap):
                own.append(elapsed_s(lambda: forward(checkpoint, x)))
    return [min(own[1:]) for own in times]


def peak(checkpoint: Checkpoint, x: Tensor, swap: Swap | None) -> Peak:
    """The most that a forward pass holds beyond the model."""
    with swapped(checkpoint.model, swap):
        return peak_of(lambda: forward(checkpoint, x))


def peak_ratio(own: Peak, dense: Peak) -> float | None:
    return own.extra_mib / dense.extra_mib if min(own.extra_mib, dense.extra_mib) >= SMALL_MIB else None


def as_rows(found: list[Comparison]) -> list[dict[str, Any]]:
    """For a CSV file: a column a number; a causal model alone has perplexities."""
    rows = [vars(each) for each in found]
    empty = {name for name in rows[0] if name.endswith("perplexity") and all(row[name] is None for row in rows)}
    return [{name: value for name, value in row.items() if name not in empty} for row in rows]
