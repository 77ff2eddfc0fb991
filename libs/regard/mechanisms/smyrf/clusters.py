"""Sorted tokens cut into balanced clusters, whatever the lengths and masks.

A batch row with n' real queries and m' real keys has ρ = max(n' / C, m' / K) clusters of at most C queries and K keys,
the last one maybe partial. Cluster i holds the queries at places ⌊i n' / ρ⌋ … ⌊(i + 1) n' / ρ⌋ - 1 of their order, and
the keys likewise: tokens at the same relative place meet. Where there are fewer keys than clusters, neighbouring
clusters share a key, so that every query sees one. When sizes divide evenly, this is "every C queries, every K keys".
Since ρ counts only real tokens, padding changes nothing for them.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from regard.common.checks import check_count, check_flag


class Clusters(NamedTuple):
    """One round: which token is in each place, cluster after cluster. A query is in one place at most.

    `query_token` (b, h, number · C) and `key_token` (b, h, number · K) are tokens. `key_set` (b, h, number) numbers the
    sets of keys: clusters with one number hold the same keys. `query_filled` (b, h, number · C) and `key_filled` (b, h,
    number · K) are False at places that hold no token (whose index may be any), and None when every place holds one.
    All may be expanded. `times` is how often a meeting counts; `ordered` drops keys that come after the query. A query
    may meet a key again in rounds of the same `level`, never in those of another. A round that does not attend
    (`attends`) only counts who meets whom, for the merge `unbiased`.
    """

    query_token: Tensor
    key_token: Tensor
    key_set: Tensor
    query_filled: Tensor | None = None
    key_filled: Tensor | None = None
    times: int = 1
    ordered: bool = False
    level: int = 0
    attends: bool = True


def by_level(rounds: Iterable[Clusters]) -> list[list[Clusters]]:
    """Rounds of one level together, in their order; rounds of a level follow one another."""
    levels: list[list[Clusters]] = []
    for clusters in rounds:
        if levels and levels[-1][0].level == clusters.level:
            levels[-1].append(clusters)
        else:
            levels.append([clusters])
    return levels


def cluster_sizes(
    n: int, m: int, cluster_size: int, key_cluster_size: int | None, *, causal: bool = False
) -> tuple[int, int]:
    """Queries and keys per cluster, C and K, for n queries and m keys.

    Neither is larger than its list; this cap changes no cluster.

    Without `key_cluster_size`, K is such that m keys fill as many clusters as n queries do. Sizes below 1 raise
    ValueError, and causal clusters of two sizes.
    """
    check_flag(causal, "causal")
    check_count(cluster_size, 1, "cluster_size")
    if key_cluster_size is None:
        key_cluster_size = -(-m * cluster_size // max(n, 1))
    else:
        check_count(key_cluster_size, 1, "key_cluster_size")
        if causal and key_cluster_size != cluster_size:
            sizes = f"cluster_size = {cluster_size} and key_cluster_size = {key_cluster_size}"
            raise ValueError(f"causal clusters must hold as many queries as keys, got {sizes}")
    return max(1, min(cluster_size, n)), max(1, min(key_cluster_size, m))


def cut(
    q_order: Tensor, k_order: Tensor, C: int, K: int, query_mask: Tensor | None, key_mask: Tensor | None
) -> list[Clusters]:
    """Cut sorted tokens into r rounds of clusters, C queries and K keys each.

    Tokens in sorted order, masked ones last: `q_order` `(r, b, h, n)` and `k_order` `(r, b, h, m)`.

    There are max(⌈n / C⌉, ⌈m / K⌉) of them; those beyond a row's ρ stay empty. n and m must be at least 1.
    """
    (rounds, b, h, n), m = q_order.shape, k_order.shape[3]
    number = max(-(-n // C), -(-m // K))
    i = torch.arange(number + 1, device=q_order.device)
    if number * C == n and number * K == m and query_mask is None and key_mask is None:
        return [Clusters(q_order[r], k_order[r], i[:-1].expand(b, h, -1)) for r in range(rounds)]
    real_q, real_k = _real(b, n, query_mask, q_order.device), _real(b, m, key_mask, q_order.device)
    by_queries = real_q * K >= real_k * C  # ρ = n' / C; else ρ = m' / K
    q_border = torch.where(by_queries, i * C, i * K * real_q // real_k.clamp(min=1)).minimum(real_q)
    k_border = torch.where(by_queries, i * C * real_k // real_q.clamp(min=1), i * K).minimum(real_k)
    k_end = k_border[:, 1:].maximum(k_border[:, :-1] + 1).minimum(real_k)
    q_token, q_filled = _fill(q_order, q_border[:, :-1], q_border[:, 1:], C)
    k_token, k_filled = _fill(k_order, k_border[:, :-1], k_end, K)
    key_set, q_filled, k_filled = (x[:, None].expand(-1, h, -1) for x in (k_border[:, :-1], q_filled, k_filled))
    return [Clusters(q_token[r], k_token[r], key_set, q_filled, k_filled) for r in range(rounds)]


def _real(b: int, length: int, mask: Tensor | None, device: torch.device) -> Tensor:
    """Real tokens of each batch row, (b, 1)."""
    return torch.full((b, 1), length, device=device) if mask is None else mask.sum(-1, keepdim=True)


def _fill(order: Tensor, start: Tensor, end: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Places start … end - 1 `(b, c)` of `order` `(r, b, h, n)`, at most `size` each.

    Returns token `(r, b, h, c · size)` and filled `(b, c · size)`.
    """
    rank = start[:, :, None] + torch.arange(size, device=order.device)
    filled = (rank < end[:, :, None]).flatten(1)
    index = rank.flatten(1).clamp(max=order.shape[3] - 1)[:, None]
    return order.gather(3, index.expand(*order.shape[:3], -1)), filled
