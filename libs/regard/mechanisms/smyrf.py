"""SMYRF attention: queries and keys are hashed, sorted and cut into balanced clusters; each query attends inside its cluster.

    F(q) = [q; 0; √(M_Q² + M_K² - ‖q‖²)]        G(k) = [k; √(M_Q² + M_K² - ‖k‖²); 0]        M_Q = max ‖q_i‖, M_K = max ‖k_j‖

so that ‖F(q) - G(k)‖² = 2 (M_Q² + M_K² - q · k): the nearest key is the one with the largest product, for all queries at once. Round r
sorts queries by α_r · F(q) and, apart, keys by α_r · G(k), α_r ~ N(0, I), and cuts both lists into clusters. The rounds are merged by the
softmax of their log-sum-exps, which is one softmax over all keys met, a key met twice counting twice:

    out_i = Σ_r Σ_j exp(scale · q_i · k_j) v_j / Σ_r Σ_j exp(scale · q_i · k_j)        j over the keys of i's cluster in round r

The hash uses q and k unscaled; M is taken per (batch, head) over real tokens. Daras et al., "SMYRF: Efficient Attention using Asymmetric
Clustering", 2020. Time O(r (n log n + n K (d + e))), memory O(n (d + e)): one round at a time, its scores never stored.
Ragged and masked rows: `regard.clusters`. A row of a padded batch equals its unpadded run; in cross attention without `key_cluster_size`,
which then follows from the padded lengths, as long as the row has at least the batch's number of queries a key.
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

import torch
from torch import Tensor

from regard.clusters import cluster_sizes, cut
from regard.fused import merged_attention
from regard.layer import Attention
from regard.patterns import Pattern, check_mask, zero_masked
from regard.registry import mechanism
from regard.shapes import check_count, check_heads


def naive_smyrf(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    cluster_size: int,
    directions: Tensor,
    key_cluster_size: int | None = None,
    key_mask: Tensor | None = None,
    query_mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """The definition, one (batch, head) and one cluster at a time. Arguments as `smyrf`; rounds are the columns of `directions`."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    C, K = cluster_sizes(q.shape[2], k.shape[2], cluster_size, key_cluster_size)
    out = q.new_zeros(*q.shape[:3], v.shape[3])
    for b in range(q.shape[0]):
        real_q = torch.arange(q.shape[2]) if query_mask is None else query_mask[b].nonzero()[:, 0]
        real_k = torch.arange(k.shape[2]) if key_mask is None else key_mask[b].nonzero()[:, 0]
        for h in range(q.shape[1]):
            if len(real_q) and len(real_k):
                queries, keys = q[b, h, real_q], k[b, h, real_k]
                met = times_met(queries.detach(), keys.detach(), directions, C, K)
                out[b, h, real_q] = (scale * queries @ keys.T + met.log()).softmax(-1) @ v[b, h, real_k]
    return out


def times_met(queries: Tensor, keys: Tensor, directions: Tensor, C: int, K: int) -> Tensor:
    """In how many rounds does a query (n, d) meet a key (m, d)? -> (n, m), in their type."""
    n, m = len(queries), len(keys)
    F, G = transformed(queries, keys)
    clusters = max(Fraction(n, C), Fraction(m, K))  # ρ
    met = queries.new_zeros(n, m)
    for direction in directions.to(queries.dtype).T:
        q_order, k_order = (F @ direction).argsort(), (G @ direction).argsort()
        for i in range(math.ceil(clusters)):
            q_from, q_to = (math.floor(place * n / clusters) for place in (i, i + 1))
            k_from, k_to = (math.floor(place * m / clusters) for place in (i, i + 1))
            met[q_order[q_from:q_to, None], k_order[k_from : max(k_to, k_from + 1)]] += 1
    return met


def transformed(queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """F(q) and G(k): (…, n, d) and (…, m, d) -> (…, n, d + 2) and (…, m, d + 2)."""
    q_squared, k_squared = (x.square().sum(-1, keepdim=True) for x in (queries, keys))
    largest = q_squared.amax(-2, keepdim=True) + k_squared.amax(-2, keepdim=True)  # M_Q² + M_K²
    q_extra, k_extra = ((largest - squared).sqrt() for squared in (q_squared, k_squared))
    return torch.cat([queries, 0 * q_extra, q_extra], -1), torch.cat([keys, k_extra, 0 * k_extra], -1)


def smyrf(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    rounds: int = 2,
    cluster_size: int = 32,
    key_cluster_size: int | None = None,
    key_mask: Tensor | None = None,
    query_mask: Tensor | None = None,
    scale: float | None = None,
    directions: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """SMYRF attention on split heads.

    q (b, h, n, d), k (b, h, m, d), v (b, h, m, e) -> (b, h, n, e). A cluster holds `cluster_size` queries and `key_cluster_size` keys, by
    default as many as make the clusters of both agree; no length need be a multiple. `key_mask` (b, m) and `query_mask` (b, n), True =
    keep: masked tokens take no place among the others; self attention passes its mask as both. Masked queries, and all queries of a row
    without keys, get 0. `directions` (d + 2, r) are the α_r: d coordinates, that of the keys' extra one, that of the queries'; left out,
    they are drawn from `generator`. `scale` multiplies q · k and defaults to d ** -0.5. Clustering carries no gradient.
    """
    check_heads(q, k, v, key_mask=key_mask)
    (b, h, n, d), m, e = q.shape, k.shape[2], v.shape[3]
    check_mask(query_mask, b, n, "query_mask")
    check_count(rounds, 1, "rounds")
    C, K = cluster_sizes(n, m, cluster_size, key_cluster_size)
    if directions is None:
        directions = torch.randn(d + 2, rounds, generator=generator, device=q.device)
    if directions.shape != (d + 2, rounds):
        raise ValueError(f"directions must be (d + 2, rounds) = ({d + 2}, {rounds}), got {tuple(directions.shape)}")
    if 0 in (b, n, m):
        return v.new_zeros(b, h, n, e)
    q, k, v = zero_masked(q, query_mask), zero_masked(k, key_mask), zero_masked(v, key_mask)
    with torch.no_grad():
        orders = sorted_tokens(q, k, directions, query_mask, key_mask)
        clusters = cut(*orders, C, K, query_mask, key_mask)
    out = zero_masked(merged_attention(q, k, v, clusters, scale=d**-0.5 if scale is None else scale), query_mask)
    return out if key_mask is None else out.masked_fill(~key_mask.any(-1)[:, None, None, None], 0)


def sorted_tokens(
    q: Tensor, k: Tensor, directions: Tensor, query_mask: Tensor | None, key_mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Tokens in the order of their hash, masked ones last: (r, b, h, n) for α · F(q) and (r, b, h, m) for α · G(k)."""
    exact = torch.float32 if q.dtype in (torch.float16, torch.bfloat16) else q.dtype
    norms = [torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=exact) for x in (q, k)]  # of masked rows: 0
    largest = norms[0].amax(2, keepdim=True).square() + norms[1].amax(2, keepdim=True).square()  # M_Q² + M_K²
    orders = []
    for x, norm, row, mask in ((q, norms[0], -1, query_mask), (k, norms[1], -2, key_mask)):
        extra = (largest - norm.square()).sqrt()
        hashes = x.to(exact) @ directions[:-2].to(exact) + extra * directions[row].to(exact)  # b h n r
        if mask is not None:
            hashes = hashes.masked_fill(~mask[:, None, :, None], torch.inf)
        orders.append(hashes.permute(3, 0, 1, 2).argsort(dim=-1, stable=True))
    return orders[0], orders[1]


@mechanism("smyrf", patterns=("noncausal_self", "noncausal_cross"), paper="Daras et al. 2020")
class SmyrfAttention(Attention):
    """SMYRF attention over the four maps; no parameters of its own, so that it can take a trained layer's place.

    `directions` (d + 2, r) are a buffer, drawn at construction from `generator`. (The released code draws them anew at every call.)
    """

    directions: Tensor
    needs_query_mask = True
    example: ClassVar[Mapping[str, Any]] = {"rounds": 2, "cluster_size": 8, "key_cluster_size": 8}

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        pattern: Pattern = "noncausal_self",
        bias: bool = True,
        rounds: int = 2,
        cluster_size: int = 32,
        key_cluster_size: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        check_count(rounds, 1, "rounds")
        cluster_sizes(1, 1, cluster_size, key_cluster_size)
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        self.rounds = rounds
        self.sizes: dict[str, Any] = {"cluster_size": cluster_size, "key_cluster_size": key_cluster_size}
        self.register_buffer("directions", torch.randn(width // heads + 2, rounds, generator=generator))

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, query_mask: Tensor | None = None) -> Tensor:
        options = {"rounds": self.rounds, "directions": self.directions, **self.sizes}
        return smyrf(q, k, v, key_mask=key_mask, query_mask=query_mask, **options)

    def naive(
        self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, query_mask: Tensor | None = None
    ) -> Tensor:
        options = {"directions": self.directions, **self.sizes}
        return naive_smyrf(q, k, v, key_mask=key_mask, query_mask=query_mask, **options)

    @classmethod
    def exact(cls, length: int) -> Mapping[str, Any]:
        """One cluster is softmax attention, in any number of rounds."""
        return {"cluster_size": length, "key_cluster_size": length}

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, **options: Any) -> int:
        """The scores, their products with the values, and the hashes' q α and k α."""
        rounds: int = options.get("rounds", 2)
        return 2 * cls.score_entries(heads=heads, n=n, m=m, **options) * (d + e) + 2 * heads * rounds * (n + m) * d

    @classmethod
    def score_entries(cls, *, heads: int, n: int, m: int, **options: Any) -> int:
        """r n K a head, K keys a cluster: r K / m of the dense n m. Places left empty in a partial cluster are not counted."""
        _, K = cluster_sizes(n, m, options.get("cluster_size", 32), options.get("key_cluster_size"))
        rounds: int = options.get("rounds", 2)
        return heads * rounds * n * K

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, rounds={self.rounds}, " + ", ".join(f"{k}={v}" for k, v in self.sizes.items())
