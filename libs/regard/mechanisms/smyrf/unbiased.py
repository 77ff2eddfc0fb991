"""The unbiased merge, ours and not the paper's: a pair that is met has weight 1 / P(met).

The paper merges rounds as a multiset: a pair counts as often as it is met, so pairs that the hash brings together stay
overweighted however many rounds there are; counting each pair once still leaves out those that were never met. Both are
biased against dense attention. Here T rounds are hashed and R ≤ T of them attend. With N(i, j) the number of the T
rounds in which query i meets key j,

    P(i, j) = 1 - (T - N choose R) / (T choose R)

is the chance that the two meet in a random choice of R out of the T rounds; since all rounds are drawn in the same way,
the first R are such a choice. Each pair that meets in the R rounds counts once with weight 1 / P(i, j) (Horvitz and
Thompson, "A Generalization of Sampling Without Replacement from a Finite Universe", 1952, equation 2). Hence

    E Σ_met exp(s) v / P = Σ_{N > 0} exp(s) v        and the same without v,

where the expectation is over the choice, given the T hashes: numerator and denominator estimate those of dense
attention except for pairs that met in none of the T rounds, a share of (1 - p)^T of those whose chance to meet in a
round is p. (Their quotient has the usual bias of a ratio, which falls with R.) R = T is counting once; one cluster is
dense attention, P = 1.

Hashing T rounds takes O(T n (d + log n)), counting T comparisons per score that is computed: as many operations as the
score itself where T is the head width.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


def chance_to_meet(N: int, T: int, R: int) -> float:
    """P(met in R of T rounds) of a pair that meets in N of the T."""
    return 1 - math.comb(T - N, R) / math.comb(T, R)


class Counted(NamedTuple):
    """The sets of each query and each key in each of the T rounds of a level, `(T, rows)`, and log 1 / P by the count, `(T + 1)`."""

    queries: Tensor
    keys: Tensor
    by_count: Tensor

    def log_weights(self, query: Tensor, key: Tensor) -> Tensor:
        """log 1 / P of the pairs inside clusters.

        Args:
            query: Rows of the queries, `(clusters, C)`.
            key: Rows of the keys, `(clusters, K)`.

        Returns:
            `(clusters, C, K)`; meaningless where a place is empty, but finite.
        """
        width = torch.uint8 if len(self.queries) < 2**8 else torch.int32
        count = torch.zeros(*query.shape, key.shape[1], dtype=width, device=query.device)
        for of_queries, of_keys in zip(self.queries, self.keys, strict=True):
            met = of_queries[query][:, :, None] == of_keys[key][:, None, :]
            count += met.view(torch.uint8)  # a sum of one type is several times as fast as one with a boolean
        return self.by_count[count.int()]


def counted_in(sets: Sequence[tuple[Tensor, Tensor]], attending: int) -> Counted:
    """The counts of a level's T rounds, of which `attending` attend; `sets` of queries and of keys by round, `(rows)`."""
    T = len(sets)
    # A count of 0 is an empty place.
    weights = [0.0, *(-math.log(chance_to_meet(N, T, attending)) for N in range(1, T + 1))]
    queries, keys = (torch.stack(side) for side in zip(*sets, strict=True))
    return Counted(queries, keys, torch.tensor(weights, dtype=torch.float64, device=queries.device))
