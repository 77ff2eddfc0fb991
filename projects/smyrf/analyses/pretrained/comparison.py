"""Dense attention against SMYRF in one model, on a user's inputs: similarity, perplexity, score memory, measured memory and time."""

import math
import statistics
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from projects.smyrf.analyses.pretrained.outputs import Output, cosine, forward, output, tokens_of
from projects.smyrf.models.checkpoints import Checkpoint
from projects.smyrf.models.swapping import Swap, swapped
from regard.bench.memory import Peak, peak_of
from regard.bench.timing import elapsed_s

SHARES = (0.5, 0.25, 0.125, 0.0625)  # of the dense score memory, for a sweep
SMALL_MIB = 1.0  # a peak below it is too near the size of a memory page to compare


@dataclass(frozen=True)
class Comparison:
    """One SMYRF setting; ratios are over dense attention by the fused kernel, on the longest input.

    `score_memory` is the mean over inputs, 0 to 1; `perplexity` and `dense_perplexity` are those of a causal model;
    `peak_ratio` is None where the peaks are too small to compare.
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
    """Cluster sizes, largest first, that take `SHARES` of the dense score memory of n tokens, or a little more, in more than one cluster."""
    return sorted({size for share in SHARES if (size := math.ceil(share * n / rounds)) < n}, reverse=True)


def compare(checkpoint: Checkpoint, inputs: list[Tensor], swaps: list[Swap], repeats: int) -> list[Comparison]:
    """Compare dense attention with each swap.

    Args:
        checkpoint: The model.
        inputs: Token ids (1, n) or pixels (1, 3, height, width).
        swaps: The settings of SMYRF.
        repeats: Timings of each attention, all in turns.

    Returns:
        One comparison per swap.

    Raises:
        ValueError: The model asks for an attention that SMYRF does not have.
    """
    with swapped(checkpoint.model, None):
        dense = [output(checkpoint, x) for x in inputs]
    longest = max(inputs, key=lambda x: x.numel()).to(checkpoint.device)
    times = in_turns(checkpoint, longest, [None, *swaps], repeats)
    peaks = [peak(checkpoint, longest, swap) for swap in [None, *swaps]]
    comparisons = []
    for swap, own_time, own_peak in zip(swaps, times[1:], peaks[1:], strict=True):
        with swapped(checkpoint.model, swap):
            outputs = [output(checkpoint, x) for x in inputs]
        similarities = list(map(cosine, dense, outputs))
        comparisons.append(
            Comparison(
                rounds=swap.rounds,
                cluster_size=swap.cluster_size,
                score_memory=statistics.fmean(score_memory(checkpoint, swap, x) for x in inputs),
                cosine_mean=statistics.fmean(similarities),
                cosine_least=min(similarities),
                dense_perplexity=perplexity(dense),
                perplexity=perplexity(outputs),
                peak_ratio=peak_ratio(own_peak, peaks[0]),
                time_ratio=own_time / times[0],
            )
        )
    return comparisons


def score_memory(checkpoint: Checkpoint, swap: Swap, x: Tensor) -> float:
    """The share of the dense score entries that one input takes; a cluster larger than the input takes all."""
    n = tokens_of(checkpoint, x)
    if n <= swap.cluster_size:
        return 1.0
    return min(1.0, swap.score_memory(n, checkpoint.kind == "causal", checkpoint.layers))


def perplexity(outputs: list[Output]) -> float | None:
    """e to the mean cross entropy of all next tokens; None for a model that predicts none."""
    nats = torch.cat([output.nats for output in outputs])
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
    """Own peak over dense; None where one of them is too small."""
    return own.extra_mib / dense.extra_mib if min(own.extra_mib, dense.extra_mib) >= SMALL_MIB else None


def as_rows(comparisons: list[Comparison]) -> list[dict[str, Any]]:
    """The comparisons as rows of a CSV file; only a causal model has perplexities."""
    rows = [vars(comparison) for comparison in comparisons]
    empty = {name for name in rows[0] if name.endswith("perplexity") and all(row[name] is None for row in rows)}
    return [{name: value for name, value in row.items() if name not in empty} for row in rows]
