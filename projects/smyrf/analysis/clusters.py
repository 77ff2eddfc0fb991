"""SMYRF's clusters on given queries and keys, as labels: the same steps as the mechanism's own (`smyrf.hashing`, `smyrf.clusters`).

`regard.observe` tells them too, by running the mechanism over an identity of n × m values a head; labels cost n + m, and the tables here need
them for 72 heads of 1,370 tokens, hundreds of times.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from projects.smyrf.analysis.vectors import Vectors
from regard.functional import smyrf
from regard.mechanisms.smyrf.clusters import Clusters, cluster_sizes, cut
from regard.mechanisms.smyrf.hashing import checked_directions, hashes, sorted_tokens


@dataclass(frozen=True)
class Clustering:
    """Rounds, queries a cluster and hash. Keys a cluster follow from the lengths."""

    rounds: int
    cluster_size: int
    scheme: str = "asymmetric"
    dedup: bool = False

    def number(self, n: int) -> int:
        """Clusters of n queries."""
        return -(-n // self.cluster_size)

    def buckets(self, n: int) -> int:
        """Buckets of Reformer's hash: as many as clusters, as in the released code's branch of schemes, and an even number."""
        return 2 * -(-self.number(n) // 2)

    def directions(self, x: Vectors, seed: int, place: int) -> Tensor:
        """What a seed draws for the layer at this place."""
        generator = torch.Generator().manual_seed(seed * 10_007 + place)
        return checked_directions(
            None, self.scheme, x.q.shape[3], self.rounds, self.buckets(x.q.shape[2]), generator, x.q.device
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
            scale=x.scale,
            directions=directions,
        )
        return out

    @torch.no_grad()
    def labels(self, x: Vectors, directions: Tensor) -> tuple[Tensor, Tensor]:
        """The cluster of each query (r, b, h, n) and key (r, b, h, m) in each round, numbered by hash from 0; int16.

        Raises ValueError for fewer keys than clusters, whose neighbours would share a key.
        """
        n, m = x.q.shape[2], x.k.shape[2]
        C, K = cluster_sizes(n, m, self.cluster_size, None)
        if self.number(n) > m:
            raise ValueError(
                f"{self.number(n)} clusters of {m} keys share keys: take cluster_size > {self.cluster_size}"
            )
        orders = sorted_tokens(*hashes(x.q, x.k, directions, self.scheme, self.rounds))
        rounds = cut(*orders, C, K, None, None)
        queries = [_labels(each, each.query_token, each.query_filled, n) for each in rounds]
        keys = [_labels(each, each.key_token, each.key_filled, m) for each in rounds]
        return torch.stack(queries), torch.stack(keys)


def _labels(clusters: Clusters, token: Tensor, filled: Tensor | None, length: int) -> Tensor:
    """The number of the cluster of each token (b, h, length), from the token in each place (b, h, places)."""
    b, h, places = token.shape
    number = torch.arange(places, device=token.device) // (places // clusters.key_set.shape[-1])
    token = token if filled is None else token.masked_fill(~filled, length)
    labels = torch.full((b, h, length + 1), -1, dtype=torch.int16, device=token.device)
    labels.scatter_(2, token, number.to(torch.int16).expand(b, h, -1))
    return labels[..., :length]


def seen(queries: Tensor, keys: Tensor) -> Tensor:
    """Which keys a query meets in any round, from labels (r, b, h, n) and (r, b, h, m) -> boolean (b, h, n, m)."""
    met = queries[0, ..., :, None] == keys[0, ..., None, :]
    for of_query, of_key in zip(queries[1:], keys[1:], strict=True):
        met |= of_query[..., :, None] == of_key[..., None, :]
    return met
