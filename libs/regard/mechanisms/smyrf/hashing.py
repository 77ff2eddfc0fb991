"""Hashes of queries and keys, by which they are sorted into clusters: the four schemes of SMYRF's ablation.

    asymmetric   α · F(q), α · G(k)       F(q) = [q; 0; √(M² - ‖q‖²)], G(k) = [k; √(M² - ‖k‖²); 0], M² = max ‖q_i‖² + max ‖k_j‖²
    plain        α · q, α · k             no transform
    reformer     argmax [x R; -x R]       one of `buckets`, ties by position (Kitaev et al., "Reformer", 2020, section 2)
    random       a number of the seed     blind to content: a random permutation of the positions

`directions` holds the random draws for r rounds: α (d + 2, r), where row d goes with the extra coordinate of the keys
and row d + 1 with that of the queries; α (d, r); R (d, r · buckets / 2); seeds (r), integers. All hashes use q and k
unscaled, and none carries a gradient.
"""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from regard.common.checks import check_choice, check_count
from regard.common.counter_rng import murmur_mix
from regard.common.drawing import seeded

Scheme = Literal["asymmetric", "plain", "reformer", "random"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)


class Hashed(NamedTuple):
    """Hashes of queries or of keys, `hash` `(r, b, h, n)`.

    In the asymmetric scheme the term of the extra coordinate is not yet included: it needs `squared` `(b, h, n)`, ‖x‖²,
    and `extra` `(r, 1, 1, 1)`, the coordinate of α that goes with √(M² - ‖x‖²).
    """

    hash: Tensor
    squared: Tensor | None = None
    extra: Tensor | None = None


def checked_directions(
    directions: Tensor | None,
    scheme: Scheme,
    d: int,
    rounds: int,
    buckets: int,
    generator: torch.Generator | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """`directions` if they have the shape and type that the scheme needs; drawn from `generator` if they are None.

    Raises ValueError or TypeError for these, an unknown scheme, and impossible numbers of rounds or buckets.
    """
    check_choice(scheme, SCHEMES, "scheme")
    check_count(rounds, 1, "rounds")
    check_count(buckets, 2, "buckets")
    if buckets % 2:
        raise ValueError(f"buckets must be even, half of them for x R and half for -x R, got {buckets}")
    shape, means = {
        "asymmetric": ((d + 2, rounds), "(d + 2, rounds)"),
        "plain": ((d, rounds), "(d, rounds)"),
        "reformer": ((d, rounds * buckets // 2), "(d, rounds · buckets / 2)"),
        "random": ((rounds,), "(rounds,)"),
    }[scheme]
    if directions is None:
        if scheme == "random":
            return torch.randint(2**32, shape, generator=generator, device=device)
        return torch.randn(shape, generator=generator, device=device, dtype=dtype)
    if not isinstance(directions, Tensor):
        raise TypeError(f"directions must be a tensor, got a {type(directions).__name__}")
    if device is not None and directions.device != device:
        raise ValueError(f"directions must be on the device of q, {device}, got {directions.device}")
    if directions.shape != shape:
        raise ValueError(f"directions must be {means} = {shape}, got {tuple(directions.shape)}")
    if directions.is_floating_point() == (scheme == "random"):
        raise TypeError(f"directions of scheme {scheme!r} cannot be {directions.dtype}")
    return directions


@seeded
def seeded_directions(seed: int, d: int, rounds: int, scheme: Scheme = "asymmetric", buckets: int = 2) -> Tensor:
    """Directions drawn from a seed: the same everywhere for the same arguments."""
    generator = torch.Generator().manual_seed(seed)
    return checked_directions(None, scheme, d, rounds, buckets, generator, torch.device("cpu"), torch.float32)


def hash_products(scheme: Scheme, rounds: int, buckets: int) -> int:
    """Products x · α that a token's hashes take."""
    return {"random": 0, "reformer": rounds * buckets // 2}.get(scheme, rounds)


def hashes(
    q: Tensor,
    k: Tensor,
    directions: Tensor,
    scheme: Scheme,
    rounds: int,
    query_mask: Tensor | None = None,
    key_mask: Tensor | None = None,
) -> tuple[Hashed, Hashed]:
    """q (b, h, n, d) and k (b, h, m, d), 0 where masked -> their hashes, in float32 or wider."""
    if scheme == "random":
        return Hashed(_numbers(q, directions, 0, query_mask)), Hashed(_numbers(k, directions, 1, key_mask))
    exact = torch.float32 if q.dtype in (torch.float16, torch.bfloat16) else q.dtype
    alpha = directions.to(exact)
    if scheme == "reformer":
        return Hashed(_buckets(q.to(exact), alpha, rounds)), Hashed(_buckets(k.to(exact), alpha, rounds))
    hash_q, hash_k = ((x.to(exact) @ alpha[: x.shape[3]]).movedim(-1, 0) for x in (q, k))
    if scheme == "plain":
        return Hashed(hash_q), Hashed(hash_k)
    q_squared, k_squared = (torch.linalg.vector_norm(x, dim=-1, dtype=exact).square() for x in (q, k))
    return Hashed(hash_q, q_squared, alpha[-1].view(-1, 1, 1, 1)), Hashed(
        hash_k, k_squared, alpha[-2].view(-1, 1, 1, 1)
    )


def largest_squared(q: Hashed, k: Hashed) -> Tensor | None:
    """M² = max ‖q_i‖² + max ‖k_j‖² over the last dimension, which is kept; None in schemes without it."""
    if q.squared is None or k.squared is None:
        return None
    return q.squared.amax(-1, keepdim=True) + k.squared.amax(-1, keepdim=True)


def complete_hash(hashed: Hashed, largest: Tensor | None) -> Tensor:
    """The hash with the term of the extra coordinate, √(M² - ‖x‖²) with M² = `largest`.

    The term is 0 for a vector longer than M.
    """
    if hashed.squared is None or hashed.extra is None or largest is None:
        return hashed.hash
    return torch.addcmul(hashed.hash, hashed.extra, (largest - hashed.squared).clamp(min=0).sqrt())


def sorted_tokens(
    q: Hashed, k: Hashed, query_mask: Tensor | None = None, key_mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Tokens in the order of their hash, ties by position, masked ones last.

    `(r, b, h, n)` for queries and `(r, b, h, m)` for keys.

    M is taken per (batch, head) over all queries and keys.
    """
    largest = largest_squared(q, k)
    orders = []
    for hashed, mask in ((q, query_mask), (k, key_mask)):
        full = complete_hash(hashed, largest)
        orders.append(stable_argsort(full if mask is None else full.masked_fill(~mask[:, None], torch.inf)))
    return orders[0], orders[1]


def stable_argsort(x: Tensor) -> Tensor:
    """Stable `argsort` along the last dimension of floats, or of integers from 0 to 2³² - 1.

    On CPU torch sorts one long list of integers by radix, about three times as fast as rows of floats. Such an integer
    is made of the row's number followed by the float's bits, flipped so that they sort as the float does.
    """
    n = x.shape[-1]
    fits = x.dtype in (torch.float32, torch.int64) and x.numel() >= 2**15  # torch's own threshold
    if x.device.type != "cpu" or not fits:
        return x.argsort(dim=-1, stable=True)
    bits = x.reshape(-1, n)
    if x.dtype == torch.float32:
        bits = (bits + 0.0).view(torch.int32)  # -0 + 0 = 0
        bits = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long() + 2**31
    row = torch.arange(bits.shape[0])[:, None]
    order = (bits + (row << 32)).flatten().sort(stable=True).indices.view(-1, n)
    return (order - row * n).view(x.shape)


def _buckets(x: Tensor, directions: Tensor, rounds: int) -> Tensor:
    """argmax [x R; -x R] -> (r, b, h, n)."""
    products = (x @ directions).reshape(*x.shape[:-1], rounds, -1)
    return torch.cat([products, -products], -1).argmax(-1).movedim(-1, 0).to(x.dtype)


def _numbers(x: Tensor, seeds: Tensor, side: int, mask: Tensor | None) -> Tensor:
    """A number of (seed, side, head, rank among the real tokens), uniform in 24 bits, which float32 holds.

    Returns `(r, b, h, n)`.
    """
    b, h, n, _ = x.shape
    rank = torch.arange(n, device=x.device).expand(b, n) if mask is None else (mask.cumsum(1) - 1).clamp(min=0)
    heads = murmur_mix(2 * torch.arange(h, device=x.device) + side + 0x9E3779B9)
    mixed = murmur_mix(murmur_mix(seeds)[:, None] ^ heads)[:, None, :, None]  # r 1 h 1
    return (murmur_mix(mixed + rank[:, None]) >> 8).float()
