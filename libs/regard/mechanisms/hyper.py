"""HyperAttention: exact attention inside blocks of hashed and sorted tokens, and sampled keys for everything outside them.

    h(x) = rank in the Gray code of the signs of x · R        queries and keys are sorted by h, each side separately
    B(i): keys of the block at the place of i's block          j_1 … j_s: keys drawn uniformly, with replacement, for all queries
    a_ij = exp(scale · q_i · k_j)
    out_i = (Σ_{j ∈ B(i)} a_ij v_j + (m / s) Σ_{t: j_t ∉ B(i)} a_ij_t v_j_t) / (the same without v)

R (d, p) is Gaussian: two vectors differ in the sign of a column with a chance of their angle / π. Neighbours in the
Gray code differ in one sign, so that neighbouring buckets are the nearest, and cutting the sorted lists into blocks of
equal size loses little. Both sums over t are unbiased estimates of the sums over all keys outside B(i). Han et al.,
"HyperAttention: Long-context Attention in Near-Linear Time", 2024, algorithms 1 (sortLSH) to 3, with what the released
code does where the paper leaves a choice: one uniform sample for numerator and denominator, the two parts merged by
their log-sum-exps. Here that is one softmax over the block's scores and those of the sample plus log(m / s).

Blocks are cut as in `regard.mechanisms.smyrf.clusters`, for any lengths and masks. Two parts are left out: exact
attention below a minimum length (one block is exact anyway), and the causal form. The latter halves the sequence and
lets the second half attend to the first as above. There later queries take part in the sort that decides which keys an
earlier query meets, and the place of every cut depends on the length, so it is not causal in the sense that is
certified here.

Public copies of the released sort apply the Gray code to the number that the signs spell, where its inverse is meant:
from three hyperplanes on, neighbouring buckets may differ in several signs. The original was not at hand.

Time O((n + m) (p d + log n) + n (K + s) (d + e)), memory O(n (K + s + d + e)) for
blocks of K keys.
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

import torch
from torch import Tensor

from regard.attention import Attention, Call
from regard.common.autocast import disable_autocast
from regard.common.checks import check_count, check_heads, check_mask, check_scale, check_tensor
from regard.common.counter_rng import murmur_mix
from regard.common.drawing import seeded
from regard.common.patterns import Pattern, zero_masked
from regard.mechanisms.smyrf.clusters import Clusters, cluster_sizes, cut
from regard.mechanisms.smyrf.hashing import stable_argsort
from regard.registry import mechanism

MOST_PROJECTIONS = 31  # ranks fit below the number by which masked tokens are sorted last
LAST = 2**32 - 1


def naive_hyper(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    directions: Tensor,
    sample: Tensor,
    block_size: int,
    key_block_size: int | None = None,
    key_mask: Tensor | None = None,
    query_mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """The definition, one sequence and head at a time, with its n × m matrix in full. Arguments as `hyper`."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    C, K = cluster_sizes(q.shape[2], k.shape[2], block_size, key_block_size)
    sample = sample.expand(*q.shape[:2], -1)
    out = torch.zeros_like(q[..., :1]).repeat(1, 1, 1, v.shape[-1])
    for b in range(q.shape[0]):
        real_q, real_k = (
            torch.arange(x.shape[2]) if mask is None else mask[b].nonzero()[:, 0]
            for x, mask in ((q, query_mask), (k, key_mask))
        )
        for h in range(q.shape[1] if len(real_q) and len(real_k) else 0):
            queries, keys = q[b, h, real_q], k[b, h, real_k]
            met = naive_blocks(queries.detach(), keys.detach(), directions, C, K)
            drawn = [int((sample[b, h] == j).sum()) for j in real_k]  # how often
            outside = len(real_k) / max(1, sample.shape[-1]) * torch.tensor(drawn, dtype=q.dtype)
            weights = torch.where(met, 1, outside)
            out[b, h, real_q] = (scale * queries @ keys.T + weights.log()).softmax(-1) @ v[b, h, real_k]
    return out


def naive_blocks(queries: Tensor, keys: Tensor, directions: Tensor, C: int, K: int) -> Tensor:
    """Which keys are in the block of which queries, `(n, m)`: queries `(n, d)` and keys `(m, d)` of one sequence and head."""
    orders = []
    for x in (queries, keys):
        signs = (x @ directions.to(x.dtype) > 0).tolist()
        # The Gray code is a list of all signs: that of p signs is that of p - 1, then the same backwards with the last sign up.
        gray: list[list[bool]] = [[]]
        for _ in range(directions.shape[1]):
            gray = [[*code, False] for code in gray] + [[*code, True] for code in reversed(gray)]
        orders.append(sorted(range(len(x)), key=lambda i, signs=signs, gray=gray: gray.index(signs[i])))  # type: ignore[misc]
    n, m = len(queries), len(keys)
    blocks = max(Fraction(n, C), Fraction(m, K))
    met = torch.zeros(n, m, dtype=torch.bool)
    for i in range(math.ceil(blocks)):
        (q_from, q_to), (k_from, k_to) = ([math.floor(place * x / blocks) for place in (i, i + 1)] for x in (n, m))
        for query in orders[0][q_from:q_to]:
            met[query, orders[1][k_from : max(k_to, k_from + 1)]] = True
    return met


@disable_autocast
def hyper(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    block_size: int = 256,
    key_block_size: int | None = None,
    sample_size: int = 256,
    projections: int = 7,
    key_mask: Tensor | None = None,
    query_mask: Tensor | None = None,
    scale: float | None = None,
    directions: Tensor | None = None,
    sample: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """HyperAttention on split heads, noncausal (Han et al. 2024, algorithms 1 to 3).

    Sorting carries no gradient; no length need be a multiple of anything. Half precision is summed in float32.

    Args:
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, m, d)`.
        v: Values `(b, h, m, e)`.
        block_size: Queries per block. Default: 256, the released code's.
        key_block_size: Keys per block. Default: None, chosen so that there are as many blocks of keys as of queries.
        sample_size: Keys that are drawn, at least 0. Default: 256, the released code's.
        projections: Hyperplanes p of the hash, 1 to 31. Default: 7, the released code's.
        key_mask: `(b, m)`, boolean, True = keep: masked keys take up no place in the blocks. Default: None, all keys.
        query_mask: `(b, n)`, boolean, True = keep; in self attention pass the mask as both. Default: None, all queries.
        scale: Factor of q · k. Default: None, d ** -0.5.
        directions: R, `(d, p)`. Default: None, drawn from `generator`.
        sample: Indices of the drawn keys, `(s,)`, `(h, s)` or `(b, h, s)`, of int32 or int64; s is then its own.
            Entries outside 0 … m − 1 and at masked keys are left out. Default: None, `sample_uniformly` with a seed
            from `generator`.
        generator: Source of the random draws. Default: None, torch's.

    Returns:
        `(b, h, n, e)`; masked queries, and all queries of a row without keys, get 0.

    Raises:
        ValueError: Shapes, devices or options that do not fit; the message has the numbers.
        TypeError: Arguments of the wrong type.
    """
    check_heads(q, k, v, key_mask=key_mask)
    (b, h, n, d), (m, e) = q.shape, v.shape[2:]
    check_mask(query_mask, b, n, "query_mask", q.device)
    check_scale(scale)
    check_blocks(block_size, key_block_size)
    check_count(sample_size, 0, "sample_size")
    directions = checked_hyperplanes(directions, d, projections, generator, q.device)
    if 0 in (b, n, m):
        return v.new_zeros(b, h, n, e)
    if sample is None:
        seed = torch.randint(2**31, (), generator=generator, device=q.device)
        sample = sample_uniformly(h, m, sample_size, seed=seed, key_mask=key_mask)
    real = torch.full((b, 1, 1), m, device=q.device) if key_mask is None else key_mask.sum(1)[:, None, None]
    sample, usable = checked_sample(sample, q, m, key_mask)
    wide = torch.promote_types(v.dtype, torch.float32)
    log_weight = (real.clamp(min=1).to(wide) / max(1, sample.shape[2])).log().expand(sample.shape)
    log_weight = log_weight.masked_fill(~usable, -torch.inf)
    sizes = cluster_sizes(n, m, block_size, key_block_size)
    masks: dict[str, Any] = {"key_mask": key_mask, "query_mask": query_mask}
    return sorted_and_sampled(q, k, v, sizes, directions, sample, log_weight, scale=scale, **masks)


def sorted_and_sampled(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    sizes: tuple[int, int],
    directions: Tensor,
    sample: Tensor,
    log_weight: Tensor,
    *,
    key_mask: Tensor | None,
    query_mask: Tensor | None,
    scale: float | None,
) -> Tensor:
    """Blocks of the sorted tokens and sampled keys: the part of `hyper` after keys have been drawn; at least float32.

    Args:
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, m, d)`.
        v: Values `(b, h, m, e)`.
        sizes: Queries and keys per block.
        directions: R, `(d, p)`.
        sample: Drawn keys `(b, h, s)`.
        log_weight: What is added to their scores, `(b, h, s)`; −inf leaves one out.
        key_mask: `(b, m)`, True = keep, or `None`.
        query_mask: `(b, n)`, True = keep, or `None`.
        scale: Factor of q · k; `None`, d ** -0.5.

    Returns:
        `(b, h, n, e)`, 0 where `hyper` has 0.
    """
    wide = log_weight.dtype
    queries, keys, values = (
        zero_masked(x, mask).to(wide) for x, mask in ((q, query_mask), (k, key_mask), (v, key_mask))
    )
    blocks = sorted_blocks(queries, keys, directions, *sizes, query_mask, key_mask)
    scale = q.shape[3] ** -0.5 if scale is None else scale
    out = block_and_sample_attention(queries, keys, values, blocks, sample, log_weight, scale=scale)
    out = out if key_mask is None else out.masked_fill(~key_mask.any(-1)[:, None, None, None], 0)
    return out.to(v.dtype)


def check_blocks(block_size: int, key_block_size: int | None) -> None:
    """Raises ValueError or TypeError for impossible block sizes."""
    check_count(block_size, 1, "block_size")
    if key_block_size is not None:
        check_count(key_block_size, 1, "key_block_size")


def checked_hyperplanes(
    directions: Tensor | None, d: int, projections: int, generator: torch.Generator | None, device: torch.device | None
) -> Tensor:
    """R `(d, p)` if it is valid, drawn from `generator` if it is None; raises ValueError or TypeError otherwise."""
    check_count(projections, 1, "projections")
    if projections > MOST_PROJECTIONS:
        raise ValueError(f"projections must be at most {MOST_PROJECTIONS}, got {projections}")
    if directions is None:
        return torch.randn(d, projections, generator=generator, device=device)
    check_tensor(directions, "directions", device)
    if directions.shape != (d, projections):
        raise ValueError(f"directions must be (d, projections) = ({d}, {projections}), got {tuple(directions.shape)}")
    return directions


@seeded
def seeded_hyperplanes(seed: int, d: int, projections: int) -> Tensor:
    """R drawn from a seed, `(d, p)`: the same everywhere for the same arguments."""
    return torch.randn(d, projections, generator=torch.Generator().manual_seed(seed), dtype=torch.float32, device="cpu")


def hashed_draws(heads: int, draws: int, seed: Tensor) -> Tensor:
    """Numbers `(heads, draws)`, uniform in 32 bits: a hash of (seed, head, draw), `seed` an integer tensor `()`."""
    rows = murmur_mix(torch.arange(heads, device=seed.device) ^ murmur_mix(seed + 0x9E3779B9))
    return murmur_mix(rows[:, None] + torch.arange(draws, device=seed.device))


def place_of_real(key_mask: Tensor) -> Tensor:
    """The position of the j-th real key, `(b, m)`: real keys first, in their order."""
    return torch.argsort((~key_mask).int(), dim=1, stable=True)


def sample_uniformly(heads: int, m: int, draws: int, *, seed: Tensor, key_mask: Tensor | None = None) -> Tensor:
    """Draw keys for each head, with replacement, by a hash of (seed, head, draw).

    With a mask the draws count real keys only, as if the row were not padded: a row has the same draws at any length
    and in any batch.

    Args:
        heads: Number of heads h.
        m: Keys.
        draws: Keys to draw per head, s.
        seed: An integer tensor `()`.
        key_mask: `(b, m)`, boolean, True = keep. Default: None, all keys.

    Returns:
        Indices below m, `(h, s)`, or with a mask `(b, h, s)`; those of a row without real keys are of masked ones.
    """
    drawn = hashed_draws(heads, draws, seed)
    if key_mask is None or m == 0:
        return (drawn * m) >> 32
    ranks = (drawn * key_mask.sum(1)[:, None, None]) >> 32
    return place_of_real(key_mask).take_along_dim(ranks.flatten(1), 1).view_as(ranks)


def checked_sample(sample: Tensor, q: Tensor, m: int, key_mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """A sample as `(b, h, s)`, below m, and which of its entries count; raises TypeError or ValueError."""
    b, h = q.shape[:2]
    if not isinstance(sample, Tensor) or sample.dtype not in (torch.int32, torch.int64):
        raise TypeError(f"sample must be a tensor of int32 or int64 indices, got {getattr(sample, 'dtype', sample)}")
    if sample.device != q.device:
        raise ValueError(f"sample must be on the device of q, {q.device}, got {sample.device}")
    if sample.ndim not in (1, 2, 3) or sample.shape[:-1] not in ((), (h,), (1, h), (b, h)):
        raise ValueError(f"sample must be (s,), (h = {h}, s) or (b = {b}, h = {h}, s), got {tuple(sample.shape)}")
    sample = sample.long().expand(b, h, -1)
    usable = (sample >= 0) & (sample < m)
    sample = sample.clamp(0, m - 1)
    if key_mask is not None:
        usable = usable & key_mask[:, None].expand(-1, h, -1).gather(2, sample)
    return sample, usable


def gray_ranks(x: Tensor, directions: Tensor) -> Tensor:
    """h(x): x `(b, h, n, d)` -> `(b, h, n)`, the place in the Gray code of the signs of x · R, the last column's the highest bit."""
    signs = (x.detach() @ directions.to(x.dtype)) > 0
    p = directions.shape[1]
    rank = (signs.long() << torch.arange(p, device=x.device)).sum(-1)
    shift = 1
    while shift < p:  # each bit of the rank is the parity of the signs from it upwards
        rank = rank ^ (rank >> shift)
        shift *= 2
    return rank


def sorted_blocks(
    q: Tensor,
    k: Tensor,
    directions: Tensor,
    C: int,
    K: int,
    query_mask: Tensor | None,
    key_mask: Tensor | None,
) -> Clusters:
    """Blocks of C queries and K keys in the order of their hash, ties by place (sortLSH)."""
    orders = []
    for x, mask in ((q, query_mask), (k, key_mask)):
        rank = gray_ranks(x, directions)
        rank = rank if mask is None else rank.masked_fill(~mask[:, None], LAST)
        orders.append(stable_argsort(rank)[None])
    return cut(orders[0], orders[1], C, K, query_mask, key_mask)[0]


def block_and_sample_attention(
    q: Tensor, k: Tensor, v: Tensor, blocks: Clusters, sample: Tensor, log_weight: Tensor, *, scale: float
) -> Tensor:
    """One softmax per query, over the keys of its block and the sampled keys outside it.

    Args:
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, m, d)`, 0 where masked.
        v: Values `(b, h, m, e)`, 0 where masked.
        blocks: Which queries and keys make a block.
        sample: Drawn keys `(b, h, s)`.
        log_weight: What is added to their scores, `(b, h, s)`; −inf leaves one out. A constant to autograd.
        scale: Factor of q · k.

    Returns:
        `(b, h, n, e)`; 0 for queries in no block, meaningless for those in a block without keys.
    """
    (b, h, n, _), m, number = q.shape, k.shape[2], blocks.key_set.shape[2]
    lowest = torch.finfo(q.dtype).min  # finite: a place without keys must not turn NaN

    def rows(x: Tensor, token: Tensor) -> Tensor:
        return x.gather(2, token[..., None].expand(-1, -1, -1, x.shape[3]))

    queries, keys, values = (
        rows(x, token).unflatten(2, (number, -1))  # type: ignore[no-untyped-call]
        for x, token in ((q, blocks.query_token), (k, blocks.key_token), (v, blocks.key_token))
    )
    key_set = blocks.key_set[..., None].expand(-1, -1, -1, keys.shape[3])
    key_token = blocks.key_token
    scores = scale * (queries @ keys.mT)  # b h blocks C K
    if blocks.key_filled is not None:
        filled = blocks.key_filled.unflatten(2, (number, -1))  # type: ignore[no-untyped-call]
        values = values.masked_fill(~filled[..., None], 0)
        scores = scores.masked_fill(~filled[:, :, :, None], lowest)
        key_token = key_token.masked_fill(~blocks.key_filled, m)
    if number == 1 or not sample.shape[2]:  # nothing is outside, or nothing known of it
        out = scores.softmax(-1) @ values
    else:
        drawn_keys, drawn_values = rows(k, sample), rows(v, sample)
        set_of_key = key_set.new_zeros(b, h, m + 1).scatter(2, key_token, key_set.flatten(2))
        own = set_of_key.gather(2, sample)[:, :, None] == blocks.key_set[..., None]  # b h blocks s
        dropped = own | (log_weight == -torch.inf)[:, :, None]
        outside = scale * (queries @ drawn_keys.mT[:, :, None]) + log_weight[:, :, None, None]
        outside = outside.masked_fill(dropped[:, :, :, None], lowest)
        weights = torch.cat((scores, outside), -1).softmax(-1)
        K = keys.shape[3]
        drawn_values = drawn_values.masked_fill((log_weight == -torch.inf)[..., None], 0)
        out = weights[..., :K] @ values + weights[..., K:] @ drawn_values[:, :, None]
    place = blocks.query_token
    if blocks.query_filled is not None:
        place = place.masked_fill(~blocks.query_filled, n)
    out = out.flatten(2, 3)
    placed: Tensor = out.new_zeros(b, h, n + 1, v.shape[3]).scatter(2, place[..., None].expand_as(out), out)
    return placed[:, :, :n]


@mechanism("hyper", patterns=("noncausal_self", "noncausal_cross"), paper="Han et al. 2024")
class HyperAttention(Attention):
    """Multi-head HyperAttention; no parameters beyond the four projections.

    `directions`, as in the function, and `seed`, of which the sample is a hash, are buffers, so evaluation is
    repeatable. Training draws a new sample in every call.

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        pattern: One of the class's `patterns`. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.
        block_size: As in `hyper`. Default: 256.
        key_block_size: As in `hyper`. Default: None.
        sample_size: As in `hyper`. Default: 256.
        projections: As in `hyper`. Default: 7.
        generator: Source of `directions` and `seed`. Default: None, torch's.

    Raises:
        ValueError: Impossible sizes or options.
        TypeError: Options of the wrong type.
    """

    directions: Tensor
    seed: Tensor
    needs_query_mask = True
    weighted_mean = True
    function_options: ClassVar[Mapping[str, Any]] = {
        "block_size": 256,
        "key_block_size": None,
        "sample_size": 256,
        "projections": 7,
    }
    bench_options = ("", "block_size=64 sample_size=64")
    example: ClassVar[Mapping[str, Any]] = {"block_size": 8, "key_block_size": 8, "sample_size": 6, "projections": 3}

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        pattern: Pattern = "noncausal_self",
        bias: bool = True,
        block_size: int = 256,
        key_block_size: int | None = None,
        sample_size: int = 256,
        projections: int = 7,
        generator: torch.Generator | None = None,
    ) -> None:
        check_blocks(block_size, key_block_size)
        check_count(sample_size, 0, "sample_size")
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        self.sizes: dict[str, Any] = {"block_size": block_size, "key_block_size": key_block_size}
        self.sample_size, self.projections = sample_size, projections
        self.register_buffer("directions", checked_hyperplanes(None, width // heads, projections, generator, None))
        self.register_buffer("seed", torch.randint(2**31, (), generator=generator))

    def reset_own(self) -> None:
        device = self.directions.device
        with torch.no_grad():
            self.directions.copy_(checked_hyperplanes(None, self.width // self.heads, self.projections, None, device))
            self.seed.copy_(torch.randint(2**31, (), device=device))

    @classmethod
    def exact(cls, length: int) -> Mapping[str, Any]:
        """A single block is softmax attention, since nothing is outside it."""
        return {"block_size": length, "key_block_size": length}

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, query_mask: Tensor | None = None) -> Tensor:
        seed = torch.randint(2**31, (), device=q.device) if self.training else self.seed
        sample = sample_uniformly(q.shape[1], k.shape[2], self.sample_size, seed=seed, key_mask=key_mask)
        drawn: dict[str, Any] = {"directions": self.directions, "projections": self.projections, "sample": sample}
        return hyper(q, k, v, key_mask=key_mask, query_mask=query_mask, **drawn, **self.sizes)

    def naive(
        self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, query_mask: Tensor | None = None
    ) -> Tensor:
        sample = sample_uniformly(q.shape[1], k.shape[2], self.sample_size, seed=self.seed, key_mask=key_mask)
        drawn: dict[str, Any] = {"directions": self.directions, "sample": sample}
        return naive_hyper(q, k, v, key_mask=key_mask, query_mask=query_mask, **drawn, **self.sizes)

    @classmethod
    def attend(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        options, seed = dict(call.options), torch.tensor(call.seed, device=q.device)
        check_count(options["sample_size"], 0, "sample_size")
        check_count(options["projections"], 1, "projections")
        sample = sample_uniformly(q.shape[1], k.shape[2], options["sample_size"], seed=seed, key_mask=call.key_mask)
        directions = seeded_hyperplanes(call.seed, q.shape[3], options["projections"]).to(q.device)
        masks: dict[str, Any] = {"key_mask": call.key_mask, "query_mask": call.query_mask}
        return hyper(q, k, v, scale=call.scale, directions=directions, sample=sample, **masks, **options)

    @property
    def draws_each_call(self) -> bool:
        return self.training

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, **options: Any) -> int:
        """The scores, their products with the values, and the signs' x · R."""
        scores = cls.score_entries(heads=heads, n=n, m=m, **options)
        projections: int = options.get("projections", 7)
        return 2 * scores * (d + e) + 2 * heads * projections * (n + m) * d

    @classmethod
    def score_entries(cls, *, heads: int, n: int, m: int, **options: Any) -> int:
        """n (K + s) per head for blocks of K keys, n m for a single block.

        Places left empty in a partial block are not counted.
        """
        C, K = cluster_sizes(n, m, options.get("block_size", 256), options.get("key_block_size"))
        sampled: int = options.get("sample_size", 256) if max(-(-n // C), -(-m // K)) > 1 else 0
        return heads * n * (K + sampled)

    def extra_repr(self) -> str:
        shown = {**self.sizes, "sample_size": self.sample_size, "projections": self.projections}.items()
        return ", ".join([super().extra_repr(), *(f"{name}={value}" for name, value in shown)])
