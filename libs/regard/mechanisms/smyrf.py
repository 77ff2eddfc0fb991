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

Causal self attention is ours: the paper has none, and its clusters show the future to the past. `regard.causal_clusters` has the construction: each
query meets its own block of C tokens up to itself, and a cluster of each of ≤ log₂(n / C) earlier segments, found from the past alone. Time
O(r n (log² n + K (d + e) log(n / C))).
Other schemes than the asymmetric one, for the ablation: `regard.hashing`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from regard.causal_clusters import causal_clusters, causal_entries
from regard.clusters import cluster_sizes, cut
from regard.containment import finite_pair
from regard.fused import merged_attention
from regard.hashing import checked_directions, hashes, hashes_of, sorted_tokens
from regard.layer import Attention
from regard.patterns import Pattern, check_mask, is_causal, zero_masked
from regard.registry import mechanism
from regard.shapes import check_flag, check_heads, check_scale
from regard.times_met import PlainHash, times_met, times_met_causal


def naive_smyrf(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    cluster_size: int,
    directions: Tensor,
    key_cluster_size: int | None = None,
    causal: bool = False,
    scheme: str = "asymmetric",
    buckets: int = 32,
    dedup: bool = False,
    key_mask: Tensor | None = None,
    query_mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """The definition, one (batch, head) and one cluster at a time. Arguments as `smyrf`; the rounds are those of `directions`."""
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
                hashed = PlainHash(queries.detach(), keys.detach(), directions, scheme, buckets, head=h)
                met = times_met_causal(hashed, C) if causal else times_met(hashed, C, K)
                met = met.clamp(max=1) if dedup else met
                out[b, h, real_q] = (scale * queries @ keys.T + met.log()).softmax(-1) @ v[b, h, real_k]
    return out


def smyrf(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    rounds: int = 2,
    cluster_size: int = 32,
    key_cluster_size: int | None = None,
    causal: bool = False,
    scheme: str = "asymmetric",
    buckets: int = 32,
    dedup: bool = False,
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
    `causal` needs n = m and clusters of one size; a token that either mask drops is no token. `scheme` "plain", "reformer" (with `buckets`) or
    "random" hashes otherwise, with `directions` as `regard.hashing` has them. `dedup`: a key met in several rounds counts once.
    """
    check_heads(q, k, v, key_mask=key_mask, self_attention=causal)
    (b, h, n, d), m, e = q.shape, k.shape[2], v.shape[3]
    check_mask(query_mask, b, n, "query_mask", q.device)
    check_scale(scale)
    check_flag(dedup, "dedup")
    C, K = cluster_sizes(n, m, cluster_size, key_cluster_size, causal=causal)
    directions = checked_directions(directions, scheme, d, rounds, buckets, generator, q.device)
    if 0 in (b, n, m):
        return v.new_zeros(b, h, n, e)
    if causal and query_mask is not None:
        key_mask = query_mask if key_mask is None else query_mask & key_mask
    query_mask = key_mask if causal else query_mask
    q, k, v = zero_masked(q, query_mask), zero_masked(k, key_mask), zero_masked(v, key_mask)
    k, v, spoilt = finite_pair(k, v) if causal else (k, v, None)
    with torch.no_grad():
        q_hash, k_hash = hashes(q, k, directions, scheme, rounds, query_mask, key_mask)
        if causal:
            clusters = causal_clusters(q_hash, k_hash, C, key_mask, dedup=dedup)
        else:
            q_order, k_order = sorted_tokens(q_hash, k_hash, query_mask, key_mask)
            clusters = cut(q_order, k_order, C, K, query_mask, key_mask)
    out = merged_attention(q, k, v, clusters, scale=d**-0.5 if scale is None else scale, dedup=dedup)
    out = zero_masked(out if spoilt is None else out.masked_fill(spoilt, torch.nan), query_mask)
    return out if key_mask is None else out.masked_fill(~key_mask.any(-1)[:, None, None, None], 0)


@mechanism("smyrf", patterns=("noncausal_self", "causal_self", "noncausal_cross"), paper="Daras et al. 2020")
class SmyrfAttention(Attention):
    """SMYRF attention over the four maps; no parameters of its own, so that it can take a trained layer's place.

    `directions`, as the function's, are a buffer, drawn at construction from `generator`. With `redraw` they are drawn anew at every call in
    training, from torch's own generator (the released code does so at every call, in evaluation too). Causal self attention is ours.
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
        scheme: str = "asymmetric",
        buckets: int = 32,
        dedup: bool = False,
        redraw: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        cluster_sizes(1, 1, cluster_size, key_cluster_size, causal=pattern == "causal_self")
        check_flag(dedup, "dedup")
        check_flag(redraw, "redraw")
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        self.rounds, self.redraw = rounds, redraw
        self.sizes: dict[str, Any] = {"cluster_size": cluster_size, "key_cluster_size": key_cluster_size}
        self.sizes |= {"causal": self.causal, "scheme": scheme, "buckets": buckets, "dedup": dedup}
        self.register_buffer("directions", checked_directions(None, scheme, width // heads, rounds, buckets, generator))

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, query_mask: Tensor | None = None) -> Tensor:
        directions = None if self.redraw and self.training else self.directions
        options = {"rounds": self.rounds, "directions": directions, "query_mask": query_mask, **self.sizes}
        return smyrf(q, k, v, key_mask=key_mask, **options)

    def naive(
        self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, query_mask: Tensor | None = None
    ) -> Tensor:
        options = {"directions": self.directions, "query_mask": query_mask, **self.sizes}
        return naive_smyrf(q, k, v, key_mask=key_mask, **options)

    @classmethod
    def exact(cls, length: int) -> Mapping[str, Any]:
        """One cluster is softmax attention, in any number of rounds."""
        return {"cluster_size": length, "key_cluster_size": length}

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, **options: Any) -> int:
        """The scores, their products with the values, and the hashes' q α and k α."""
        hashed = hashes_of(options.get("scheme", "asymmetric"), options.get("rounds", 2), options.get("buckets", 32))
        return 2 * cls.score_entries(heads=heads, n=n, m=m, **options) * (d + e) + 2 * heads * hashed * (n + m) * d

    @classmethod
    def score_entries(cls, *, heads: int, n: int, m: int, **options: Any) -> int:
        """r n K a head, r K / m of the dense n m (causal: see `causal_entries`). Places left empty in a partial cluster are not counted."""
        C, K = cluster_sizes(n, m, options.get("cluster_size", 32), options.get("key_cluster_size"))
        rounds: int = options.get("rounds", 2)
        return heads * (causal_entries(n, C, rounds) if is_causal(options.get("pattern", "")) else rounds * n * K)

    def extra_repr(self) -> str:
        shown = {"rounds": self.rounds, **self.sizes, "redraw": self.redraw}.items()
        return ", ".join([super().extra_repr(), *(f"{name}={value}" for name, value in shown)])
