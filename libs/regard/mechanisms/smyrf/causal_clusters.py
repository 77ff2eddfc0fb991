"""Clusters of causal self attention: no token's cluster depends on later tokens.

It does not depend on them even through a sort, a maximum or the length. SMYRF sorts all tokens, and so lets the future
move every border. Here (ours, not the paper's) a query is placed by its past alone. The sequence is cut into blocks of
C tokens, and into intervals of S = C, 2 C, 4 C, … tokens that pair up, (0, 1), (2, 3), …: a query in the second
interval of a pair meets keys of the first. For any two tokens in different blocks exactly one pair of intervals has one
token in each half, so every earlier key is in exactly one of the ≤ log₂(n / C) first intervals that a query meets. For
each pair and round,

    the keys of the first interval are sorted by their hash and cut into S / C clusters of C keys, and its queries are
    sorted; a query of the second interval goes to cluster min(⌊p / C⌋, S / C - 1), p = how many queries of the first
    hash below it

(and half of those that hash alike): where SMYRF would have put it, had it been one of them. M² is taken over the first
interval; a longer query has an extra coordinate of 0. In addition, each query meets, in every round, the keys of its
own block up to its own, so that every query sees at least one key. At S = C there is one cluster, the same in every
round.

An example with n = 8 and C = 2, one round. The blocks are 01 | 23 | 45 | 67.

    own block   6 meets 6, 7 meets 6 and 7, …
    S = 2       pairs (01, 23) and (45, 67): queries 2 and 3 meet keys 0 and 1, queries 6 and 7 meet keys 4 and 5
    S = 4       pair (0123, 4567): queries 4 to 7 meet two of the keys 0 to 3 each. Say the keys 0 to 3 hash to 0.9,
                0.1, 0.4, 0.7: the clusters are {1, 2} and {3, 0}. Say the queries 0 to 3 hash to 0.2, 0.8, 0.5, 0.3
                and query 6 to 0.6: three are below it, so that it goes to cluster ⌊3 / 2⌋ = 1 and meets 3 and 0.

So query 6 meets 6, then 4 and 5, then 3 and 0; a token 8 would change none of it. Scores: 8 · 2 + 4 · 2 + 4 · 2 = 32.

Positions count only real tokens, so padding changes nothing. Clusters need not be balanced on the side of the queries:
these are processed in chunks of at most C, with at most twice as many chunks as if all were full. Scores per head: n C
+ r C Σ_S (queries in second intervals) ≈ n C (1 + r log₂(n / C) / 2); time O(r n (log² n + C (d + e) log(n / C))),
memory of the indices O(r n log(n / C)).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.mechanisms.smyrf.clusters import Clusters
from regard.mechanisms.smyrf.hashing import Hashed, complete_hash, largest_squared, stable_argsort


def causal_clusters(q: Hashed, k: Hashed, C: int, real: Tensor | None, *, once: bool) -> list[Clusters]:
    """Rounds of clusters of C keys for causal self attention, from the hashes of the tokens.

    The first round, in which queries meet their own blocks, places all real tokens. It and the round with S = C count r
    times, unless `once`.

    Args:
        q: Hashes of the queries of one sequence, `(r, b, h, n)`.
        k: Hashes of its keys, `(r, b, h, n)`.
        C: Tokens per block, keys per cluster.
        real: Which tokens are real, `(b, n)`; None, all.
        once: Does a key met in several rounds count once?

    Returns:
        The rounds, those of one S at one level.
    """
    rounds, b, h, n = q.hash.shape
    count = torch.full((b, 1), n, device=q.hash.device)
    token = None
    if real is not None:  # the i-th real token, unreal ones last
        count, token = real.sum(-1, keepdim=True), (~real).to(torch.uint8).argsort(dim=-1, stable=True)
        q, k = (_by_rank(x, token) for x in (q, k))
    levels = [_own_blocks(n, C, count.view(b, 1, 1).expand(-1, h, -1))]
    level, S = 1, C
    while n > S:
        levels += [each._replace(level=level) for each in _pairs(q, k, C, S, count, rounds if S > C else 1)]
        level, S = level + 1, 2 * S
    if not once:
        levels[:2] = [each._replace(times=rounds) for each in levels[:2]]
    if token is None:
        return levels
    names = token[:, None].expand(-1, h, -1)
    return [
        x._replace(query_token=names.gather(2, x.query_token), key_token=names.gather(2, x.key_token)) for x in levels
    ]


def causal_entries(n: int, C: int, rounds: int) -> int:
    """Scores of n queries of a head.

    C for each query in its own block, C for each query of a second interval of C tokens, r C for each of a longer
    interval.
    """
    entries, S = C * n, C
    while n > S:
        queries = n // (2 * S) * S + max(0, n % (2 * S) - S)  # in second intervals
        entries, S = entries + (rounds if S > C else 1) * C * queries, 2 * S
    return entries


def _by_rank(x: Hashed, token: Tensor) -> Hashed:
    """Real tokens first, in their order."""
    index = token[:, None].expand(*x.hash.shape[1:])
    squared = None if x.squared is None else x.squared.gather(-1, index)
    return Hashed(x.hash.gather(-1, index.expand_as(x.hash)), squared, x.extra)


def _own_blocks(n: int, C: int, count: Tensor) -> Clusters:
    """Blocks of C tokens, each with its own keys; `count` (b, h, 1) tokens are real."""
    number = -(-n // C)
    rank = torch.arange(number * C, device=count.device).expand(*count.shape[:2], -1)
    token, filled = rank.clamp(max=n - 1), rank < count
    return Clusters(token, token, rank[..., :number], filled, filled, ordered=True)


def _pairs(q: Hashed, k: Hashed, C: int, S: int, count: Tensor, rounds: int) -> list[Clusters]:
    """Queries of every second interval of S tokens against clusters of keys of the interval before.

    `count` `(b, 1)` tokens are real.
    """
    n, device = q.hash.shape[-1], q.hash.device
    pairs = -(-(n - S) // (2 * S))
    (q_first, q_second), (k_first, _) = (_halves(x, pairs, S, rounds) for x in (q, k))
    largest = largest_squared(q_first, k_first)
    known, hash_ = complete_hash(q_first, largest), complete_hash(q_second, largest)  # r b h pairs S
    known, hash_ = known.gather(-1, stable_argsort(known)), hash_.contiguous()
    below, not_above = (torch.searchsorted(known, hash_, right=right) for right in (False, True))
    cluster = ((below + not_above) // 2 // C).clamp(max=S // C - 1)
    pair = torch.arange(pairs, device=device)[:, None]
    rank = (2 * pair + 1) * S + torch.arange(S, device=device)  # pairs S
    cluster = (cluster + pair * (S // C)).flatten(3)  # of all pairs, r b h (pairs · S)
    everything = pairs * (S // C)
    cluster = cluster.masked_fill((rank.flatten() >= count)[:, None], everything)  # no query
    slot, filled, owner = _chunks(cluster, everything, C)
    queries = rank.flatten()[slot]
    keys = (stable_argsort(complete_hash(k_first, largest)) + 2 * S * pair).reshape(*cluster.shape[:3], everything, C)
    keys = keys.gather(3, owner[..., None].expand(-1, -1, -1, -1, C)).flatten(3)
    return [Clusters(queries[r], keys[r], owner[r], filled[r]) for r in range(rounds)]


def _halves(x: Hashed, pairs: int, S: int, rounds: int) -> tuple[Hashed, Hashed]:
    """The first `rounds` rounds of the first and the second intervals: hashes `(rounds, b, h, pairs, S)`."""

    def cut(y: Tensor) -> tuple[Tensor, Tensor]:
        length = 2 * S * pairs
        y = F.pad(y[..., :length], (0, max(0, length - y.shape[-1])))
        y = y.reshape(*y.shape[:-1], pairs, 2, S)
        return y[..., 0, :], y[..., 1, :]

    hash_ = cut(x.hash[:rounds])
    if x.squared is None or x.extra is None:
        return Hashed(hash_[0]), Hashed(hash_[1])
    squared, extra = cut(x.squared), x.extra[:rounds, ..., None]
    return Hashed(hash_[0], squared[0], extra), Hashed(hash_[1], squared[1], extra)


def _chunks(cluster: Tensor, clusters: int, C: int) -> tuple[Tensor, Tensor, Tensor]:
    """Chunks of at most C queries of one cluster.

    N queries, N a multiple of C, each with its `cluster` `(…, N)` below `clusters`, or equal to it for none -> the
    query in each place `(…, number · C)`, whether there is one, and the cluster of each chunk `(…, number)`.
    """
    N = cluster.shape[-1]
    number = N // C + clusters  # as many as any division needs
    by_cluster = stable_argsort(cluster)
    ordered = cluster.gather(-1, by_cluster)
    size = cluster.new_zeros(*cluster.shape[:-1], clusters + 1).scatter_add(-1, cluster, torch.ones_like(cluster))
    chunks = (size + C - 1) // C
    end = chunks.cumsum(-1)
    # From a query's place in the order to its place in the chunks.
    before = (end - chunks) * C - (size.cumsum(-1) - size)
    place = torch.arange(N, device=cluster.device) + before.gather(-1, ordered)
    place = place.masked_fill(ordered == clusters, number * C)
    wide = (*cluster.shape[:-1], number * C + 1)
    query = cluster.new_zeros(wide).scatter(-1, place, by_cluster)[..., :-1]
    filled = torch.zeros(wide, dtype=torch.bool, device=cluster.device).scatter(-1, place, True)[..., :-1]
    chunk = torch.arange(number, device=cluster.device).expand(*cluster.shape[:-1], -1)
    owner = torch.searchsorted(end[..., :-1].contiguous(), chunk.contiguous(), right=True).clamp(max=clusters - 1)
    return query, filled, owner
