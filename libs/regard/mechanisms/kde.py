"""KDEformer, as used in practice: exact blocks of sorted tokens, and keys outside them sampled by the size of their
values.

    P_j ∝ m ‖ṽ_j‖² / ‖Ṽ‖² + 1        ṽ_j = [v_j; 1], the rows of Ṽ; ‖Ṽ‖ its largest singular value
    out_i = (Σ_{j ∈ B(i)} a_ij v_j + Σ_{t: j_t ∉ B(i)} a_ij_t v_j_t / (s P_j_t)) / (the same without v)        a_ij = exp(scale · q_i · k_j)

Blocks B(i) and their sort are those of `regard.mechanisms.hyper`; j_1 … j_s are drawn by P with replacement, one sample
for all queries. Both sums over t are unbiased for any P. Zandieh et al., "KDEformer: Accelerating Transformers via
Kernel Density Estimation", 2023.

This keeps the paper's estimate of the product of the softmax matrix and the values from sampled columns with importance
weights, apart from large entries, which a sort by a locality-sensitive hash finds; P mixes a share for the columns with
a share for the values' squared norms over ‖Ṽ‖². It does not keep the kernel density estimates, and neither does the
released code. The paper uses them to estimate the row sums and the norms of the softmax matrix's columns, which are the
other share of P. In their place are the sample itself, which serves for numerator and denominator alike because of the
1 in ṽ, and a uniform share. So the paper's spectral guarantee is not claimed. Neither the paper's text nor its own
repository was at hand: the square is our reading, and public copies of the code have ‖ṽ_j‖ there.

P has no gradient, as the choice of keys has none. Time O((n + m) (p d + log n) + n (K + s) (d + e) + m e² + e³), memory
O(n (K + s + d + e) + e²).
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from regard.attention import Call
from regard.common.autocast import disable_autocast
from regard.common.checks import check_count, check_heads, check_mask, check_scale
from regard.common.nonfinite import zero_nonfinite
from regard.common.patterns import zero_masked
from regard.mechanisms.hyper import (
    HyperAttention,
    check_blocks,
    checked_hyperplanes,
    hashed_draws,
    naive_blocks,
    seeded_hyperplanes,
    sorted_and_sampled,
)
from regard.mechanisms.smyrf.clusters import cluster_sizes
from regard.registry import mechanism

FINEST = 2**30  # the weights by which keys are drawn are whole multiples of one part in this many of the largest


def naive_kde(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    directions: Tensor,
    draws: Tensor,
    block_size: int,
    key_block_size: int | None = None,
    key_mask: Tensor | None = None,
    query_mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """The definition, one sequence and head at a time, with its n × m matrix in full. Arguments as `kde`."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    C, K = cluster_sizes(q.shape[2], k.shape[2], block_size, key_block_size)
    out = torch.zeros_like(q[..., :1]).repeat(1, 1, 1, v.shape[-1])
    for b in range(q.shape[0]):
        real_q, real_k = (
            torch.arange(x.shape[2]) if mask is None else mask[b].nonzero()[:, 0]
            for x, mask in ((q, query_mask), (k, key_mask))
        )
        for h in range(q.shape[1] if len(real_q) and len(real_k) else 0):
            queries, keys, values = q[b, h, real_q], k[b, h, real_k], v[b, h, real_k]
            extended = torch.cat((values.detach().nan_to_num(0, 0, 0), torch.ones_like(values[:, :1])), 1)
            share = len(keys) * extended.square().sum(1) / torch.linalg.matrix_norm(extended, 2) ** 2 + 1
            whole = [int(x) + 1 for x in share / share.max() * FINEST]
            counts = [0.0] * len(keys)
            for draw in draws[h].tolist():
                left, j = draw * sum(whole) // 2**32, 0
                while left >= whole[j]:
                    left, j = left - whole[j], j + 1
                counts[j] += 1
            outside = torch.tensor(counts, dtype=q.dtype) / (max(1, draws.shape[1]) * share / share.sum())
            weights = torch.where(naive_blocks(queries.detach(), keys.detach(), directions, C, K), 1, outside)
            out[b, h, real_q] = (scale * queries @ keys.T + weights.log()).softmax(-1) @ values
    return out


@disable_autocast
def kde(
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
    draws: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """KDEformer on split heads, noncausal, without its density estimates (Zandieh et al. 2023).

    Sorting and sampling carry no gradient; no length need be a multiple of anything. Half precision is summed in float32.

    Args:
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, m, d)`.
        v: Values `(b, h, m, e)`.
        block_size: Queries per block. Default: 256, as in `hyper`.
        key_block_size: Keys per block. Default: None, chosen so that there are as many blocks of keys as of queries.
        sample_size: Keys that are drawn, at least 0. Default: 256, as in `hyper`.
        projections: Hyperplanes p of the hash, 1 to 31. Default: 7, the released code's.
        key_mask: `(b, m)`, boolean, True = keep: masked keys take up no place in the blocks. Default: None, all keys.
        query_mask: `(b, n)`, boolean, True = keep; in self attention pass the mask as both. Default: None, all queries.
        scale: Factor of q · k. Default: None, d ** -0.5.
        directions: R of the hash, `(d, p)`. Default: None, drawn from `generator`.
        draws: Integers, uniform in 32 bits, of int64, `(h, sample_size)`, by which the keys are drawn. Default: None, a
            hash of a number from `generator`.
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
    if draws is None:
        draws = hashed_draws(h, sample_size, torch.randint(2**31, (), generator=generator, device=q.device))
    if not isinstance(draws, Tensor) or draws.dtype != torch.int64:
        raise TypeError(f"draws must be a tensor of int64, got {getattr(draws, 'dtype', draws)}")
    if draws.device != q.device:
        raise ValueError(f"draws must be on the device of q, {q.device}, got {draws.device}")
    if draws.shape != (h, sample_size):
        raise ValueError(f"draws must be (h, sample_size) = ({h}, {sample_size}), got {tuple(draws.shape)}")
    if 0 in (b, n, m):
        return v.new_zeros(b, h, n, e)
    sample, log_weight = sample_by_values(v, draws, key_mask)
    sizes = cluster_sizes(n, m, block_size, key_block_size)
    masks: dict[str, Any] = {"key_mask": key_mask, "query_mask": query_mask}
    return sorted_and_sampled(q, k, v, sizes, directions, sample, log_weight, scale=scale, **masks)


@torch.no_grad()
def sample_by_values(v: Tensor, draws: Tensor, key_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Draw keys by P.

    Args:
        v: Values `(b, h, m, e)`, m at least 1.
        draws: Whole numbers, uniform in 32 bits, `(h, s)`.
        key_mask: `(b, m)`, boolean, True = keep. Default: None, all keys.

    Returns:
        Keys `(b, h, s)`, and log(1 / (s P)) of each, in float32 at least; −inf in a row without real keys.
    """
    b, h, m, _ = v.shape
    wide = torch.promote_types(v.dtype, torch.float32)
    values, _ = zero_nonfinite(zero_masked(v, key_mask).to(wide))
    real = torch.ones(1, m, dtype=torch.bool, device=v.device) if key_mask is None else key_mask
    extended = torch.cat((values, real.to(wide)[:, None, :, None].expand(b, h, -1, -1)), -1)
    extended = extended / extended.abs().amax((-2, -1), keepdim=True).clamp(min=1)  # else squares may overflow
    squared = extended.square().sum(-1)  # b h m
    largest = torch.linalg.eigvalsh(extended.mT @ extended)[..., -1:]  # ‖Ṽ‖², b h 1
    count = real.sum(1).view(-1, 1, 1)
    share = count * squared / largest.clamp(min=torch.finfo(wide).tiny) + 1
    share = share.masked_fill(~real[:, None], 0)
    # Whole numbers, because CUDA has no deterministic running sum of floats.
    whole = (share / share.amax(-1, keepdim=True).clamp(min=1) * FINEST).long() + real[:, None].long()
    running = whole.cumsum(-1)
    wanted = (draws.double() * (running[..., -1:].double() / 2**32)).long()  # below the last, b h s
    sample = torch.searchsorted(running, wanted, right=True).clamp(max=m - 1)
    chance = share / share.sum(-1, keepdim=True).clamp(min=1)
    log_weight = -(chance.gather(2, sample) * max(1, draws.shape[1])).log()
    return sample, log_weight.masked_fill(count == 0, -torch.inf)


@mechanism(
    "kde", patterns=("noncausal_self", "noncausal_cross"), paper="Zandieh et al. 2023, without density estimates"
)
class KdeAttention(HyperAttention):
    """Multi-head KDEformer without its density estimates; no parameters beyond the four projections.

    Buffers are those of `HyperAttention`. Training draws other keys in every call.

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        pattern: One of the class's `patterns`. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.
        block_size: As in `kde`. Default: 256.
        key_block_size: As in `kde`. Default: None.
        sample_size: As in `kde`. Default: 256.
        projections: As in `kde`. Default: 7.
        generator: Source of the random draws, `directions` and `seed`. Default: None, torch's.

    Raises:
        ValueError: Impossible sizes or options.
        TypeError: Options of the wrong type.
    """

    weighted_mean = False  # the weights depend on the values
    function_options: ClassVar[Mapping[str, Any]] = {
        "block_size": 256,
        "key_block_size": None,
        "sample_size": 256,
        "projections": 7,
    }

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, query_mask: Tensor | None = None) -> Tensor:
        seed = torch.randint(2**31, (), device=q.device) if self.training else self.seed
        drawn: dict[str, Any] = {
            "directions": self.directions,
            "projections": self.projections,
            "draws": hashed_draws(q.shape[1], self.sample_size, seed),
            "sample_size": self.sample_size,
        }
        return kde(q, k, v, key_mask=key_mask, query_mask=query_mask, **drawn, **self.sizes)

    def naive(
        self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, query_mask: Tensor | None = None
    ) -> Tensor:
        draws = hashed_draws(q.shape[1], self.sample_size, self.seed)
        drawn: dict[str, Any] = {"directions": self.directions, "draws": draws}
        return naive_kde(q, k, v, key_mask=key_mask, query_mask=query_mask, **drawn, **self.sizes)

    @classmethod
    def attend(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
        options, seed = dict(call.options), torch.tensor(call.seed, device=q.device)
        check_count(options["sample_size"], 0, "sample_size")
        check_count(options["projections"], 1, "projections")
        drawn: dict[str, Any] = {
            "directions": seeded_hyperplanes(call.seed, q.shape[3], options["projections"]).to(q.device),
            "draws": hashed_draws(q.shape[1], options["sample_size"], seed),
        }
        masks: dict[str, Any] = {"key_mask": call.key_mask, "query_mask": call.query_mask}
        return kde(q, k, v, scale=call.scale, **drawn, **masks, **options)

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, **options: Any) -> int:
        """Those of `hyper`, and 2 m (e + 1)² of the values' products."""
        return super().mix_flops(heads=heads, n=n, m=m, d=d, e=e, **options) + 2 * heads * m * (e + 1) ** 2
