"""The plain reference of SMYRF's clusters: in how many rounds does a query meet a key?

One sequence, one round, one cluster at a time.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from regard.common.counter_rng import murmur_mix
from regard.mechanisms.smyrf.clusters import cluster_sizes
from regard.mechanisms.smyrf.hashing import Scheme
from regard.mechanisms.smyrf.unbiased import chance_to_meet


@dataclass(frozen=True)
class NaiveHash:
    """Queries (n, d) and keys (m, d) of one sequence and head, and the scheme's description from `smyrf.hashing`."""

    queries: Tensor
    keys: Tensor
    directions: Tensor
    scheme: Scheme = "asymmetric"
    buckets: int = 32
    head: int = 0

    def rounds(self, first: int = 0, n: int | None = None, m: int | None = None) -> list[tuple[Tensor, Tensor]]:
        """The hashes of all queries and of all keys in each round.

        M is taken over n queries and m keys from number `first` on.
        """
        if self.scheme == "random":
            return [(self.numbers(seed, 0), self.numbers(seed, 1)) for seed in self.directions]
        queries, keys, directions = self.queries, self.keys, self.directions.to(self.queries.dtype)
        if self.scheme == "reformer":
            width = self.buckets // 2
            pairs = []
            for R in (directions[:, i : i + width] for i in range(0, directions.shape[1], width)):
                of_q, of_k = (torch.cat([x @ R, -x @ R], 1).argmax(1) for x in (queries, keys))
                pairs.append((of_q, of_k))
            return pairs
        if self.scheme == "asymmetric":
            n, m = len(queries) if n is None else n, len(keys) if m is None else m
            longest = queries[first : first + n].norm(dim=1).max(), keys[first : first + m].norm(dim=1).max()
            queries, keys = naive_transform(queries, keys, *longest)
        return [(queries @ alpha, keys @ alpha) for alpha in directions.T]

    def numbers(self, seed: Tensor, side: int) -> Tensor:
        of_head = murmur_mix(torch.tensor(2 * self.head + side + 0x9E3779B9))
        ranks = torch.arange(len(self.keys if side else self.queries))
        return murmur_mix(murmur_mix(murmur_mix(seed) ^ of_head) + ranks) >> 8


def naive_transform(queries: Tensor, keys: Tensor, M_Q: Tensor, M_K: Tensor) -> tuple[Tensor, Tensor]:
    """F(q) and G(k): (n, d) and (m, d) -> (n, d + 2) and (m, d + 2)."""
    q_extra, k_extra = (
        (M_Q**2 + M_K**2 - x.square().sum(1, keepdim=True)).clamp(min=0).sqrt() for x in (queries, keys)
    )
    return torch.cat([queries, 0 * q_extra, q_extra], 1), torch.cat([keys, k_extra, 0 * k_extra], 1)


def naive_collision_counts(hashed: NaiveHash, C: int, K: int) -> Tensor:
    """Clusters of C queries and K keys, as `smyrf.clusters` cuts them -> (n, m), in the type of the queries."""
    n, m = len(hashed.queries), len(hashed.keys)
    clusters = max(Fraction(n, C), Fraction(m, K))  # ρ
    met = hashed.queries.new_zeros(n, m)
    for of_q, of_k in hashed.rounds():
        q_order, k_order = of_q.argsort(stable=True), of_k.argsort(stable=True)
        for i in range(math.ceil(clusters)):
            q_from, q_to = (math.floor(place * n / clusters) for place in (i, i + 1))
            k_from, k_to = (math.floor(place * m / clusters) for place in (i, i + 1))
            met[q_order[q_from:q_to, None], k_order[k_from : max(k_to, k_from + 1)]] += 1
    return met


def naive_causal_collision_counts(hashed: NaiveHash, C: int) -> Tensor:
    """Causal self attention, as in `smyrf.causal_clusters` -> (n, n), in the type of the queries."""
    n, rounds = len(hashed.queries), hashed.rounds()
    place = torch.arange(n)
    own = (place[:, None] // C == place // C) & (place <= place[:, None])
    met = len(rounds) * own.to(hashed.queries.dtype)
    S = C
    while n > S:
        for first in range(0, n - S, 2 * S):
            second, end = first + S, min(first + 2 * S, n)
            for of_q, of_k in hashed.rounds(first, S, S):
                known, k_order = of_q[first:second], first + of_k[first:second].argsort(stable=True)
                for i in range(second, end):
                    p = ((known < of_q[i]).sum() + (known <= of_q[i]).sum()) // 2
                    cluster = min(int(p) // C, S // C - 1)
                    met[i, k_order[cluster * C : (cluster + 1) * C]] += 1
        S *= 2
    return met


def naive_unbiased_weights(
    hashed: NaiveHash, C: int, K: int, rounds: int, hash_rounds: int, *, causal: bool = False
) -> Tensor:
    """1 / P(met) of the pairs that the first `rounds` meet, 0 of the others, `(n, m)`: see `smyrf.unbiased`."""
    width = hashed.directions.shape[-1] // hash_rounds
    first = replace(hashed, directions=hashed.directions[..., : rounds * width])
    if causal:
        met, counts = (naive_causal_collision_counts(each, C) for each in (first, hashed))
    else:
        met, counts = (naive_collision_counts(each, C, K) for each in (first, hashed))
    weights = torch.zeros_like(counts)
    for i, j in (met > 0).nonzero().tolist():
        weights[i, j] = 1 / chance_to_meet(int(counts[i, j]), hash_rounds, rounds)
    return weights


def naive_smyrf(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    cluster_size: int,
    directions: Tensor,
    key_cluster_size: int | None = None,
    causal: bool = False,
    scheme: Scheme = "asymmetric",
    buckets: int = 32,
    dedup: bool = False,
    hash_rounds: int | None = None,
    rounds: int = 0,
    key_mask: Tensor | None = None,
    query_mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """The definition, one (batch, head) and one cluster at a time.

    Arguments as `smyrf`; the rounds are those of `directions`, of which the first `rounds` attend with `hash_rounds`.
    """
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    C, K = cluster_sizes(q.shape[2], k.shape[2], cluster_size, key_cluster_size)
    all_q, all_k = (torch.ones(len(x), x.shape[2], dtype=torch.bool) for x in (q, k))
    query_mask, key_mask = all_q if query_mask is None else query_mask, all_k if key_mask is None else key_mask
    if causal:
        query_mask = key_mask = query_mask & key_mask
    out = q.new_zeros(*q.shape[:3], v.shape[3])
    for b in range(q.shape[0]):
        real_q, real_k = query_mask[b].nonzero()[:, 0], key_mask[b].nonzero()[:, 0]
        for h in range(q.shape[1]):
            if len(real_q) and len(real_k):
                queries, keys = q[b, h, real_q], k[b, h, real_k]
                hashed = NaiveHash(queries.detach(), keys.detach(), directions, scheme, buckets, head=h)
                if hash_rounds is not None:
                    met = naive_unbiased_weights(hashed, C, K, rounds, hash_rounds, causal=causal)
                else:
                    met = naive_causal_collision_counts(hashed, C) if causal else naive_collision_counts(hashed, C, K)
                met = met.clamp(max=1) if dedup else met
                out[b, h, real_q] = (scale * queries @ keys.T + met.log()).softmax(-1) @ v[b, h, real_k]
    return out
