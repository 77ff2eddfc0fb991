"""SMYRF: the function on split heads and the layer. Formulas and source: `regard.mechanisms.smyrf`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from regard.attention import Attention, Call, identity_values
from regard.common.autocast import disable_autocast
from regard.common.checks import check_count, check_flag, check_heads, check_mask, check_scale
from regard.common.derivatives import refuse_transforms
from regard.common.nonfinite import zero_nonfinite_causal
from regard.common.patterns import Pattern, is_causal, zero_masked
from regard.common.threads import share_out
from regard.mechanisms.smyrf.causal_clusters import causal_clusters, causal_entries
from regard.mechanisms.smyrf.clustered_attention import Merge, Share, merged_attention
from regard.mechanisms.smyrf.clusters import Clusters, by_level, cluster_sizes, cut
from regard.mechanisms.smyrf.hashing import (
    Scheme,
    checked_directions,
    hash_products,
    hashes,
    seeded_directions,
    sorted_tokens,
)
from regard.mechanisms.smyrf.naive import naive_smyrf
from regard.registry import mechanism


@disable_autocast
def smyrf(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    rounds: int = 2,
    cluster_size: int = 32,
    key_cluster_size: int | None = None,
    causal: bool = False,
    scheme: Scheme = "asymmetric",
    buckets: int = 32,
    dedup: bool = False,
    hash_rounds: int | None = None,
    key_mask: Tensor | None = None,
    query_mask: Tensor | None = None,
    scale: float | None = None,
    directions: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """SMYRF attention on split heads (Daras et al. 2020).

    Clustering carries no gradient; no length need be a multiple of anything.

    Args:
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, m, d)`.
        v: Values `(b, h, m, e)`.
        rounds: Rounds r of hashing, merged by their log-sum-exps. Default: 2.
        cluster_size: Queries per cluster. Default: 32.
        key_cluster_size: Keys per cluster. Default: None, chosen so that there are as many clusters of keys as of
            queries.
        causal: Must query i not see keys j > i? Needs n = m and clusters of one size; a token that either mask
            drops is no token. Default: False.
        scheme: The hash: "asymmetric" (the paper's), "plain", "reformer" or "random", as in
            `regard.mechanisms.smyrf.hashing`. Default: "asymmetric".
        buckets: Buckets of the scheme "reformer", even. Default: 32.
        dedup: Does a key met in several rounds count once? Default: False.
        hash_rounds: Rounds that are hashed, of which the first `rounds` attend; each pair that is met then counts once
            with weight 1 / P(met), where P is counted over all hashed rounds. Ours, not the paper's:
            `regard.mechanisms.smyrf.unbiased`. Default: None, the paper's merge, or that of `dedup`.
        key_mask: `(b, m)`, boolean, True = keep: masked keys take up no place in the clusters. Default: None, all keys.
        query_mask: `(b, n)`, boolean, True = keep; in self attention pass the mask as both. Default: None, all queries.
        scale: Factor of q · k. Default: None, d ** -0.5.
        directions: The random draws; for the asymmetric hash the α_r, `(d + 2, r)`: d coordinates, the one for the
            keys' extra coordinate, and the one for the queries'; with `hash_rounds`, for all of these rounds. Default:
            None, drawn from `generator`.
        generator: Source of `directions`. Default: None, torch's.

    Returns:
        `(b, h, n, e)`; masked queries, and all queries of a row without keys, get 0.

    Raises:
        ValueError: Shapes, devices or options that do not fit; the message has the numbers.
        TypeError: Arguments of the wrong type.
    """
    refuse_transforms("SMYRF")
    check_heads(q, k, v, key_mask=key_mask, self_attention=causal)
    (b, h, n, d), m, e = q.shape, k.shape[2], v.shape[3]
    check_mask(query_mask, b, n, "query_mask", q.device)
    check_scale(scale)
    merge, hashed = merge_of(rounds, dedup, hash_rounds)
    C, K = cluster_sizes(n, m, cluster_size, key_cluster_size, causal=causal)
    directions = checked_directions(directions, scheme, d, hashed, buckets, generator, q.device)
    if 0 in (b, n, m):
        return v.new_zeros(b, h, n, e)
    if causal and query_mask is not None:
        key_mask = query_mask if key_mask is None else query_mask & key_mask
    query_mask = key_mask if causal else query_mask
    q, k, v = zero_masked(q, query_mask), zero_masked(k, key_mask), zero_masked(v, key_mask)
    k, v, poisoned = zero_nonfinite_causal(k, v) if causal else (k, v, None)
    shares: list[Share] = []

    def find(heads: slice) -> None:
        of_q, of_k = hashes(q[:, heads], k[:, heads], directions, scheme, hashed, query_mask, key_mask)
        if causal:
            clusters = causal_clusters(of_q, of_k, C, key_mask, once=merge != "multiset")
        else:
            orders = sorted_tokens(of_q, of_k, query_mask, key_mask)
            clusters = cut(*orders, C, K, query_mask, key_mask)
        shares.append((heads, clusters if hashed == rounds else _attending(clusters, rounds)))

    units = 1 if scheme == "random" else h  # whose numbers depend on the head
    share_out(units, lambda share: find(slice(0, h) if units == 1 else share), q, k)
    out = merged_attention(q, k, v, shares, scale=d**-0.5 if scale is None else scale, merge=merge)
    out = zero_masked(out if poisoned is None else out.masked_fill(poisoned, torch.nan), query_mask)
    return out if key_mask is None else out.masked_fill(~key_mask.any(-1)[:, None, None, None], 0)


def merge_of(rounds: int, dedup: bool, hash_rounds: int | None) -> tuple[Merge, int]:
    """The merge that the options ask for, and the rounds that it hashes; ValueError or TypeError if they do not fit."""
    check_count(rounds, 1, "rounds")
    check_flag(dedup, "dedup")
    if hash_rounds is None:
        return ("once" if dedup else "multiset"), rounds
    check_count(hash_rounds, rounds, "hash_rounds")
    if dedup:
        raise ValueError(
            f"hash_rounds selects a merge of its own and excludes dedup; got hash_rounds={hash_rounds} and dedup"
        )
    return "unbiased", hash_rounds


def _attending(clusters: Sequence[Clusters], rounds: int) -> list[Clusters]:
    """The first `rounds` of each level attend, the others only count."""
    levels = by_level(clusters)
    return [each._replace(attends=number < rounds) for level in levels for number, each in enumerate(level)]


@mechanism("smyrf", patterns=("noncausal_self", "causal_self", "noncausal_cross"), paper="Daras et al. 2020")
class SmyrfAttention(Attention):
    """SMYRF attention over the four projections; no parameters of its own, so it can replace a trained layer.

    `directions`, as the function's, are a buffer, drawn at construction. Causal self attention is ours.

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        pattern: One of the class's `patterns`. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.
        rounds: As in `smyrf`. Default: 2.
        cluster_size: As in `smyrf`. Default: 32.
        key_cluster_size: As in `smyrf`. Default: None.
        scheme: As in `smyrf`. Default: "asymmetric".
        buckets: As in `smyrf`. Default: 32.
        dedup: As in `smyrf`. Default: False.
        hash_rounds: As in `smyrf`. Default: None.
        redraw: Draw the directions anew at every call in training, from torch's own generator (the released code does
            so in evaluation too)? Default: False.
        generator: Source of `directions`. Default: None, torch's.

    Raises:
        ValueError: Impossible sizes or options.
        TypeError: Options of the wrong type.
    """

    directions: Tensor
    needs_query_mask = True
    weighted_mean = True
    function_options: ClassVar[Mapping[str, Any]] = {
        "rounds": 2,
        "cluster_size": 32,
        "key_cluster_size": None,
        "scheme": "asymmetric",
        "buckets": None,  # as many as clusters, made even, as in the released code's branch of schemes
        "dedup": False,
        "hash_rounds": None,
    }
    bench_options = (
        "rounds=1 cluster_size=512",
        "rounds=2 cluster_size=32",
        "rounds=2 cluster_size=64",
        "rounds=4 cluster_size=128",
    )
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
        scheme: Scheme = "asymmetric",
        buckets: int = 32,
        dedup: bool = False,
        hash_rounds: int | None = None,
        redraw: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        cluster_sizes(1, 1, cluster_size, key_cluster_size, causal=pattern == "causal_self")
        _, hashed = merge_of(rounds, dedup, hash_rounds)
        check_flag(redraw, "redraw")
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        self.rounds, self.redraw = rounds, redraw
        self.sizes: dict[str, Any] = {"cluster_size": cluster_size, "key_cluster_size": key_cluster_size}
        self.sizes |= {"causal": self.causal, "scheme": scheme, "buckets": buckets, "dedup": dedup}
        self.sizes["hash_rounds"] = hash_rounds
        self.register_buffer("directions", checked_directions(None, scheme, width // heads, hashed, buckets, generator))

    def reset_own(self) -> None:
        hashed = self.sizes["hash_rounds"] or self.rounds
        sizes = self.sizes["scheme"], self.width // self.heads, hashed, self.sizes["buckets"]
        with torch.no_grad():
            self.directions.copy_(checked_directions(None, *sizes, None, self.directions.device))

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, query_mask: Tensor | None = None) -> Tensor:
        directions = None if self.redraw and self.training else self.directions
        options = {"rounds": self.rounds, "directions": directions, "query_mask": query_mask, **self.sizes}
        return smyrf(q, k, v, key_mask=key_mask, **options)

    def naive(
        self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, query_mask: Tensor | None = None
    ) -> Tensor:
        options = {"directions": self.directions, "rounds": self.rounds, "query_mask": query_mask, **self.sizes}
        return naive_smyrf(q, k, v, key_mask=key_mask, **options)

    @classmethod
    def attend(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        masks: dict[str, Any] = {"key_mask": call.key_mask, "query_mask": call.query_mask}
        return smyrf(q, k, v, scale=call.scale, **masks, **cls.drawn_options(q, call))

    @classmethod
    def drawn_options(cls, q: Tensor, call: Call) -> dict[str, Any]:
        """The arguments of `smyrf` that this call decides, the directions drawn from its seed and on the device of q."""
        options = dict(call.options)
        for name in ("rounds", "cluster_size"):
            check_count(options[name], 1, name)
        if options["buckets"] is None:
            options["buckets"] = 2 * math.ceil(q.shape[2] / (2 * options["cluster_size"])) or 2
        _, hashed = merge_of(options["rounds"], options["dedup"], options["hash_rounds"])
        drawn = seeded_directions(call.seed, q.shape[3], hashed, options["scheme"], options["buckets"])
        return {**options, "directions": drawn.to(q.device), **({"causal": True} if call.causal else {})}

    @property
    def draws_each_call(self) -> bool:
        return self.redraw and self.training

    def observed_options(self) -> dict[str, Any]:
        return {"directions": self.directions, "rounds": self.rounds, **self.sizes}

    @classmethod
    @torch.no_grad()
    def collisions(
        cls, q: Tensor, k: Tensor, query_mask: Tensor | None, key_mask: Tensor | None, **options: Any
    ) -> Tensor:
        """Which queries meet which keys in each round, `(r, b, h, n, m)`.

        `options` are those of `smyrf`, with `directions` and `rounds`.
        """
        directions, rounds = options.pop("directions"), options.pop("rounds")
        hashed = options.pop("hash_rounds", None) or rounds
        given: dict[str, Any] = {"query_mask": query_mask, "key_mask": key_mask, **options}
        # With a scale of 0 all keys that are met have the same weight, however far apart their scores are.
        met = [
            smyrf(q, k, identity_values(k), rounds=1, directions=drawn, scale=0.0, **given) > 0
            for drawn in torch.split(directions, directions.shape[-1] // hashed, -1)[:rounds]
        ]
        return torch.stack(met)

    @classmethod
    def exact(cls, length: int) -> Mapping[str, Any]:
        """One cluster is softmax attention, in any number of rounds."""
        return {"cluster_size": length, "key_cluster_size": length}

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, **options: Any) -> int:
        """The scores, their products with the values, and the hashes' q α and k α."""
        rounds = options.get("hash_rounds") or options.get("rounds", 2)
        hashed = hash_products(options.get("scheme", "asymmetric"), rounds, options.get("buckets", 32))
        return 2 * cls.score_entries(heads=heads, n=n, m=m, **options) * (d + e) + 2 * heads * hashed * (n + m) * d

    @classmethod
    def score_entries(cls, *, heads: int, n: int, m: int, **options: Any) -> int:
        """r n K per head, r K / m of the dense n m (causal: see `causal_entries`).

        Places left empty in a partial cluster are not counted.
        """
        C, K = cluster_sizes(n, m, options.get("cluster_size", 32), options.get("key_cluster_size"))
        rounds: int = options.get("rounds", 2)
        return heads * (causal_entries(n, C, rounds) if is_causal(options.get("pattern", "")) else rounds * n * K)

    def extra_repr(self) -> str:
        shown = {"rounds": self.rounds, **self.sizes, "redraw": self.redraw}.items()
        return ", ".join([super().extra_repr(), *(f"{name}={value}" for name, value in shown)])
