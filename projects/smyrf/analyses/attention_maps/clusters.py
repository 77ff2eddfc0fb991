"""SMYRF's clusters on given queries and keys, as labels: the same steps as the mechanism's own (`smyrf.hashing`, `smyrf.clusters`).

`regard.observe` gives them too, by running the mechanism over an identity of n × m values per head; labels cost n + m,
and the tables here need them for 72 heads of 1,370 tokens, hundreds of times.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from projects.smyrf.analyses.attention_maps.vectors import Vectors
from projects.smyrf.config import Scheme
from regard.functional import smyrf
from regard.mechanisms.smyrf.clusters import Clusters, cluster_sizes, cut
from regard.mechanisms.smyrf.hashing import checked_directions, hashes, sorted_tokens


@dataclass(frozen=True)
class Clustering:
    """Rounds, queries per cluster, hash and merge. Keys per cluster follow from the lengths."""

    rounds: int
    cluster_size: int
    scheme: Scheme = "asymmetric"
    dedup: bool = False
    hash_rounds: int | None = None

    def number(self, n: int) -> int:
        """Clusters of n queries."""
        return -(-n // self.cluster_size)

    def buckets(self, n: int) -> int:
        """Buckets of Reformer's hash: as many as clusters, as in the released code's branch of schemes, and an even number."""
        return 2 * -(-self.number(n) // 2)

    def directions(self, x: Vectors, seed: int, layer: int) -> Tensor:
        """The hash directions that a seed draws for a layer."""
        generator = torch.Generator().manual_seed(seed * 10_007 + layer)
        return checked_directions(
            None,
            self.scheme,
            x.q.shape[3],
            self.hash_rounds or self.rounds,
            self.buckets(x.q.shape[2]),
            generator,
            x.q.device,
        )

    def attend(self, x: Vectors, directions: Tensor) -> Tensor:
        """SMYRF attention in this setting -> (b, h, n, e)."""
        out: Tensor = smyrf(
            x.q,
            x.k,
            x.v,
            rounds=self.rounds,
            cluster_size=self.cluster_size,
            scheme=self.scheme,
            buckets=self.buckets(x.q.shape[2]),
            dedup=self.dedup,
            hash_rounds=self.hash_rounds,
            scale=x.scale,
            directions=directions,
        )
        return out

    @torch.no_grad()
    def labels(self, x: Vectors, directions: Tensor) -> tuple[Tensor, Tensor]:
        """The cluster of each query (r, b, h, n) and key (r, b, h, m) in each round that attends, numbered by hash from 0; int16.

        Raises ValueError for fewer keys than clusters, whose neighbours would share a key.
        """
        n, m = x.q.shape[2], x.k.shape[2]
        C, K = cluster_sizes(n, m, self.cluster_size, None)
        if self.number(n) > m:
            raise ValueError(
                f"{self.number(n)} clusters of {m} keys share keys: take cluster_size > {self.cluster_size}"
            )
        orders = sorted_tokens(*hashes(x.q, x.k, directions, self.scheme, self.hash_rounds or self.rounds))
        rounds = cut(*orders, C, K, None, None)[: self.rounds]
        queries = [_labels(clusters, clusters.query_token, clusters.query_filled, n) for clusters in rounds]
        keys = [_labels(clusters, clusters.key_token, clusters.key_filled, m) for clusters in rounds]
        return torch.stack(queries), torch.stack(keys)


def _labels(clusters: Clusters, token: Tensor, filled: Tensor | None, length: int) -> Tensor:
    """The number of the cluster of each token (b, h, length), from the token in each position of the clusters (b, h, positions)."""
    b, h, positions = token.shape
    number = torch.arange(positions, device=token.device) // (positions // clusters.key_set.shape[-1])
    token = token if filled is None else token.masked_fill(~filled, length)
    labels = torch.full((b, h, length + 1), -1, dtype=torch.int16, device=token.device)
    labels.scatter_(2, token, number.to(torch.int16).expand(b, h, -1))
    return labels[..., :length]


def collisions(queries: Tensor, keys: Tensor) -> Tensor:
    """Which keys share a cluster with a query in any round, from labels (r, b, h, n) and (r, b, h, m) -> boolean (b, h, n, m)."""
    together = queries[0, ..., :, None] == keys[0, ..., None, :]
    for of_query, of_key in zip(queries[1:], keys[1:], strict=True):
        together |= of_query[..., :, None] == of_key[..., None, :]
    return together
