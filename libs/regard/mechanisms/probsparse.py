"""ProbSparse attention (Informer): peaked queries get softmax attention, the others the mean of the values.

    M_i = max_{j ∈ S_i} q_i · k_j − (1 / m) Σ_{j ∈ S_i} q_i · k_j        S_i: U = factor ⌈ln m⌉ keys drawn with replacement
    out_i = Σ_j softmax_j(scale · q_i · k_j) v_j   for the u = factor ⌈ln n⌉ queries of largest M_i,   else   (1 / m) Σ_j v_j

U and u are capped at m and n. Zhou et al., "Informer", 2021, equations 4 and 5 and algorithm 1. One sample serves the
batch and the heads; the measure takes unscaled scores. In a padded row n and m count only the real tokens, and masked
queries are never among the u. Time O(n U d + u m (d + e)), memory O(n d + u m): the sampled scores are taken one column
of the sample at a time.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from regard.attention import Attention, Call
from regard.common.checks import check_count, check_heads, check_mask, check_scale
from regard.common.counter_rng import murmur_mix
from regard.common.patterns import Pattern
from regard.registry import mechanism


def count_drawn(length: int, factor: int) -> int:
    """factor ⌈ln length⌉, at most `length`, as Informer has it; 0 for a length of 0 or 1."""
    if torch.compiler.is_compiling():  # by comparisons: a logarithm would make one graph for each length
        return min(length, factor * next(i for i in range(64) if length <= math.exp(i)))
    return min(length, factor * math.ceil(math.log(max(1, length))))


def counts_drawn(lengths: Tensor, factor: int) -> Tensor:
    """`count_drawn` of every entry of an integer tensor."""
    return torch.minimum(lengths, factor * lengths.clamp(min=1).double().log().ceil().long())


def sample_keys(
    n: int,
    m: int,
    factor: int,
    *,
    seed: Tensor,
    key_mask: Tensor | None = None,
    query_mask: Tensor | None = None,
) -> Tensor:
    """Draw key indices for each of n queries, with replacement, by a hash of (seed, query, draw).

    Draw s of query i is ⌊m x⌋ with x = hash(seed, i, s) in [0, 1). With masks, i, m and the index count real tokens
    only, as if the row were not padded: a query has the same draws at any length and in any batch, so that evaluation
    is repeatable.

    Args:
        n: Queries.
        m: Keys.
        factor: U = max(1, factor ⌈ln m⌉), at most m, keys per query.
        seed: An integer tensor `()`.
        key_mask: `(b, m)`, boolean, True = keep. Default: None, all keys.
        query_mask: `(b, n)`, boolean, True = keep. Default: None, all queries.

    Returns:
        Indices below m, `(n, U)`, or with masks `(b, n, U)`; −1 where the unpadded run draws nothing.

    Raises:
        RuntimeError: Masks that do not fit the lengths.
    """
    columns = torch.arange(max(1, count_drawn(m, factor)), device=seed.device)
    rows = torch.arange(n, device=seed.device)
    if query_mask is not None:
        rows = (query_mask.cumsum(1) - 1).clamp(min=0)  # b n: the rank of each query among the real ones
    mixed_rows = murmur_mix(rows ^ murmur_mix(seed + 0x9E3779B9))
    hashes = murmur_mix(mixed_rows[..., None] + columns)  # (b) n U, uniform in 32 bits
    if key_mask is None:
        return (hashes * m) >> 32
    real = key_mask.sum(1)[:, None, None]
    ranks = (hashes * real) >> 32  # b n U
    position = torch.argsort((~key_mask).int(), dim=1, stable=True)  # b m: where the j-th real key stands
    indices = position.take_along_dim(ranks.flatten(1), 1).view_as(ranks)
    return indices.masked_fill(columns >= counts_drawn(real, factor).clamp(min=1), -1)


def naive_probsparse(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    factor: int,
    sample: Tensor,
    key_mask: Tensor | None = None,
    query_mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """The definition, one row, head and query at a time. Arguments as `probsparse`."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    out = torch.zeros_like(q[..., :1]).repeat(1, 1, 1, v.shape[-1])
    for row in range(q.shape[0]):
        keys = [j for j in range(k.shape[2]) if key_mask is None or key_mask[row, j]]
        queries = [i for i in range(q.shape[2]) if query_mask is None or query_mask[row, i]]
        for head in range(q.shape[1] if keys else 0):
            measure = []
            for i in queries:
                indices = [j for j in (sample if sample.ndim == 2 else sample[row])[i].tolist() if j in keys]
                scores = k[row, head, indices] @ q[row, head, i]
                measure.append((scores.max() - scores.sum() / len(keys)).item() if indices else -1e300)
            order = sorted(range(len(queries)), key=lambda place, measure=measure: -measure[place])  # type: ignore[misc]
            active = {queries[place] for place in order[: count_drawn(len(queries), factor)]}
            for i in queries:
                scores = scale * (k[row, head, keys] @ q[row, head, i])
                weights = scores.softmax(0) if i in active else torch.full_like(scores, 1 / len(keys))
                out[row, head, i] = weights @ v[row, head, keys]
    return out


def probsparse(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    factor: int = 5,
    sample: Tensor | None = None,
    key_mask: Tensor | None = None,
    query_mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """ProbSparse attention on split heads (Zhou et al. 2021, equations 4 and 5). The choice of queries has no gradient.

    Args:
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, m, d)`.
        v: Values `(b, h, m, e)`.
        factor: Active queries and sampled keys per ⌈ln n⌉ and ⌈ln m⌉, at least 1. Default: 5.
        sample: Key indices `(n, U)`, or one per row `(b, n, U)`, of int32 or int64; entries outside 0 … m − 1 and at
            masked keys are left out. Default: None, `sample_keys` with seed 0.
        key_mask: `(b, m)`, boolean, True = keep. Default: None, all keys.
        query_mask: `(b, n)`, boolean, True = keep; in self attention pass the mask as both. Default: None, all queries.
        scale: Factor of q · k. Default: None, d ** -0.5.

    Returns:
        `(b, h, n, e)`; masked queries, and queries that may see no key, get 0.

    Raises:
        ValueError: Shapes, devices or options that do not fit; the message has the numbers.
        TypeError: Arguments of the wrong type.
    """
    check_heads(q, k, v, key_mask=key_mask)
    (b, h, n, d), m = q.shape, k.shape[2]
    check_count(factor, 1, "factor")
    check_scale(scale)
    check_mask(query_mask, b, n, "query_mask", q.device)
    if 0 in (b, n, m):
        return v.new_zeros(b, h, n, v.shape[3])
    if sample is None:
        seed = torch.zeros((), dtype=torch.long, device=q.device)
        sample = sample_keys(n, m, factor, seed=seed, key_mask=key_mask, query_mask=query_mask)
    if not isinstance(sample, Tensor) or sample.dtype not in (torch.int32, torch.int64):
        raise TypeError(f"sample must be a tensor of int32 or int64 indices, got {getattr(sample, 'dtype', sample)}")
    if sample.shape[-2:-1] != (n,) or sample.shape[:-2] not in ((), (1,), (b,)):
        raise ValueError(f"sample must be (n = {n}, U) or (b = {b}, n = {n}, U), got {tuple(sample.shape)}")
    if key_mask is not None:
        k, v = (x.masked_fill(~key_mask[:, None, :, None], 0) for x in (k, v))
    if query_mask is not None:
        q = q.masked_fill(~query_mask[:, None, :, None], 0)
    real = torch.full((1,), m, device=q.device) if key_mask is None else key_mask.sum(1)
    wanted = torch.full((1,), n, device=q.device) if query_mask is None else query_mask.sum(1)

    with torch.no_grad():
        measure = sparsity(q, k, sample, key_mask, real)  # b h n
        if query_mask is not None:
            measure = measure.masked_fill(~query_mask[:, None], -torch.inf)
        most = count_drawn(n, factor)
        # b h u 1, largest first; stable, so that equal measures fall to the earlier query everywhere
        top = measure.sort(dim=-1, descending=True, stable=True).indices[..., :most, None]
        allowed = counts_drawn(wanted, factor)[:, None]  # b 1: a shorter row has fewer than `most`
        active = torch.arange(most, device=q.device) < allowed

    wide = torch.promote_types(v.dtype, torch.float32)
    exact = wide if q.dtype == torch.float16 else q.dtype  # float16 ends at 65,504
    scores = (q.to(exact) * (d**-0.5 if scale is None else scale)).take_along_dim(top, 2) @ k.to(exact).mT
    if key_mask is not None:
        scores = scores.masked_fill(~key_mask[:, None, None, :], torch.finfo(scores.dtype).min)
    mean = (v.sum(2, keepdim=True, dtype=wide) / real.clamp(min=1)[:, None, None, None]).to(v.dtype)  # b h 1 e
    attended = torch.where(active[:, None, :, None], scores.softmax(-1, dtype=wide).to(v.dtype) @ v, mean)
    out = mean.expand(-1, -1, n, -1).scatter(2, top.expand_as(attended), attended)
    return out if query_mask is None else out.masked_fill(~query_mask[:, None, :, None], 0)


def sparsity(q: Tensor, k: Tensor, sample: Tensor, key_mask: Tensor | None, real: Tensor) -> Tensor:
    """M_i on the sampled keys: (b, h, n), in float32 at least.

    The lowest finite number for a query without a sampled key.
    """
    wide = torch.promote_types(q.dtype, torch.float32)
    (b, _, m, _), queries = k.shape, q.to(wide).transpose(1, 2)  # b n h d
    rows = k.to(wide).transpose(1, 2).flatten(0, 1)  # (b m) h d: a drawn key is one row, of all heads
    sample = (sample if sample.ndim == 3 else sample[None]).long()
    usable = (sample >= 0) & (sample < m)
    sample = sample.clamp(0, m - 1)
    if key_mask is not None:
        usable = usable & key_mask[:, None, :].take_along_dim(sample, 2)
    place = sample + m * torch.arange(b, device=q.device)[:, None, None]  # b n U
    largest = torch.full(queries.shape[:3], torch.finfo(wide).min, dtype=wide, device=q.device)  # b n h
    total = torch.zeros_like(largest)
    for indices, taken in zip(place.unbind(2), usable.unbind(2), strict=True):
        score = (queries * rows.index_select(0, indices.flatten()).view_as(queries)).sum(-1)
        largest = torch.where(taken[:, :, None], torch.maximum(largest, score), largest)
        total = total + torch.where(taken[:, :, None], score, 0)
    return (largest - total / real.clamp(min=1)[:, None, None]).transpose(1, 2)


@mechanism("probsparse", patterns=("noncausal_self",), paper="Zhou et al. 2021")
class ProbSparseAttention(Attention):
    """ProbSparse self attention; no parameters beyond the four projections.

    The sample is a hash of the buffer `seed`: it fits every length, evaluation is repeatable, and a padded row has the
    sample of its unpadded run. Training draws a new seed in every call, as the paper samples anew.

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        factor: As in `probsparse`. Default: 5.
        seed: The buffer's number, at least 0. Default: None, drawn from torch's generator.
        pattern: One of the class's `patterns`. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.

    Raises:
        ValueError: Impossible sizes or options.
        TypeError: Options of the wrong type.
    """

    function_options: ClassVar[Mapping[str, Any]] = {"factor": 5}
    example: ClassVar[Mapping[str, Any]] = {"factor": 2}
    seed: Tensor

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        factor: int = 5,
        seed: int | None = None,
        pattern: Pattern = "noncausal_self",
        bias: bool = True,
    ) -> None:
        check_count(factor, 1, "factor")
        if seed is not None:
            check_count(seed, 0, "seed")
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        self.factor = factor
        self.given_seed = seed
        self.register_buffer("seed", torch.randint(2**31, ()) if seed is None else torch.tensor(seed))

    def reset_own(self) -> None:
        drawn = torch.randint(2**31, (), device=self.seed.device) if self.given_seed is None else self.given_seed
        with torch.no_grad():
            self.seed.copy_(torch.as_tensor(drawn))

    @classmethod
    def exact(cls, length: int) -> Mapping[str, Any]:
        """With factor ≥ n every query is active."""
        return {"factor": length}

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        seed = torch.randint(2**31, (), device=q.device) if self.training else self.seed
        sample = self.sample(q, seed, key_mask)
        return probsparse(q, k, v, factor=self.factor, sample=sample, key_mask=key_mask, query_mask=key_mask)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        sample = self.sample(q, self.seed, key_mask)
        return naive_probsparse(q, k, v, factor=self.factor, sample=sample, key_mask=key_mask, query_mask=key_mask)

    def sample(self, q: Tensor, seed: Tensor, mask: Tensor | None) -> Tensor:
        """The sample of self attention on q (b, h, n, d): (n, U), or (b, n, U) with a mask."""
        n = q.shape[2]
        return sample_keys(n, n, self.factor, seed=seed, key_mask=mask, query_mask=mask)

    @classmethod
    def attend(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        factor = call.options["factor"]
        check_count(factor, 1, "factor")
        masks: dict[str, Any] = {"key_mask": call.key_mask, "query_mask": call.query_mask}
        seed = torch.tensor(call.seed, device=q.device)
        sample = sample_keys(q.shape[2], k.shape[2], factor, seed=seed, **masks)
        return probsparse(q, k, v, factor=factor, sample=sample, scale=call.scale, **masks)

    @property
    def draws_each_call(self) -> bool:
        return self.training

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, factor: int = 5, **options: Any) -> int:
        """2 (n U d + u m (d + e)) per head."""
        return 2 * heads * (n * max(1, count_drawn(m, factor)) * d + count_drawn(n, factor) * m * (d + e))

    @classmethod
    def score_entries(cls, *, heads: int, n: int, m: int, factor: int = 5, **options: Any) -> int:
        """n U sampled scores and u m of the active queries."""
        return heads * (n * max(1, count_drawn(m, factor)) + count_drawn(n, factor) * m)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, factor={self.factor}"
