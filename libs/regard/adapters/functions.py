"""The mechanisms without parameters as functions of one form, `mixed(mechanism, q, k, v, call)`, their draws made from a seed.

`DEFAULTS` holds their names and options, with the defaults of `regard.build`; the buckets of SMYRF's "reformer" alone follow the length here.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from regard import functional
from regard.common.checks import check_count

DEFAULTS: dict[str, dict[str, Any]] = {
    "cosformer": {"horizon": None},
    "lara": {"landmarks": 16},
    "local": {"window": 15},
    "nystrom": {"landmarks": 16, "iterations": 6},
    "performer": {"features": 16},
    "probsparse": {"factor": 5},
    "smyrf": {
        "rounds": 2,
        "cluster_size": 32,
        "key_cluster_size": None,
        "scheme": "asymmetric",
        "buckets": None,  # as many as clusters, made even, as in the released code's branch of schemes
        "dedup": False,
    },
    "softmax": {},
}


@dataclass(frozen=True)
class Call:
    """Everything but q, k and v. Masks (b, m) and (b, n), True = keep; `scale` multiplies q · k, None for d ** -0.5."""

    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    causal: bool = False
    key_mask: Tensor | None = None
    query_mask: Tensor | None = None
    scale: float | None = None


def mixed(mechanism: str, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
    """q (b, h, n, d), k (b, h, m, d), v (b, h, m, e) -> (b, h, n, e). Errors are the mechanism's own."""
    return FUNCTIONS[mechanism](q, k, v, call)


def cosformer(q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
    """cosFormer has no scale: its weights are products, whose scale the denominator takes away. A causal horizon is 8,192 by default."""
    from regard.mechanisms.cosformer import CAUSAL_HORIZON

    horizon = call.options["horizon"] or (CAUSAL_HORIZON if call.causal else None)
    all_real = torch.ones(q.shape[0], q.shape[2], dtype=torch.bool, device=q.device)
    query_mask = (
        all_real if call.query_mask is None else call.query_mask
    )  # n = m would else be taken for self attention
    masks = {"key_mask": call.key_mask, "query_mask": query_mask}
    out: Tensor = functional.cosformer(q, k, v, causal=call.causal, horizon=horizon, **masks)
    return out


def lara(q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
    out: Tensor = functional.lara(rescaled(q, call), k, v, landmarks=call.options["landmarks"], key_mask=call.key_mask)
    return out


def local(q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
    given = {"causal": call.causal, "key_mask": call.key_mask, "scale": call.scale}
    out: Tensor = functional.local(q, k, v, window=call.options["window"], **given)
    return out


def nystrom(q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
    out: Tensor = functional.nystrom(q, k, v, key_mask=call.key_mask, scale=call.scale, **call.options)
    return out


def performer(q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
    check_count(call.options["features"], 1, "features")
    projection = performer_projection(call.seed, q.shape[1], call.options["features"], q.shape[3]).to(q.device)
    given = {"causal": call.causal, "key_mask": call.key_mask, "projection": projection}
    out: Tensor = functional.performer(rescaled(q, call), k, v, **given)
    return out


def probsparse(q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
    from regard.mechanisms.probsparse import sample_keys

    masks = {"key_mask": call.key_mask, "query_mask": call.query_mask}
    factor, seed = call.options["factor"], torch.tensor(call.seed, device=q.device)
    check_count(factor, 1, "factor")
    sample = sample_keys(q.shape[2], k.shape[2], factor, seed=seed, **masks)
    out: Tensor = functional.probsparse(q, k, v, factor=factor, sample=sample, scale=call.scale, **masks)
    return out


def smyrf(q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
    masks = {"key_mask": call.key_mask, "query_mask": call.query_mask}
    out: Tensor = functional.smyrf(q, k, v, scale=call.scale, **masks, **smyrf_options(q, call))
    return out


def softmax(q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
    out: Tensor = functional.softmax(q, k, v, causal=call.causal, key_mask=call.key_mask, scale=call.scale)
    return out


FUNCTIONS: dict[str, Callable[[Tensor, Tensor, Tensor, Call], Tensor]] = {
    "cosformer": cosformer,
    "lara": lara,
    "local": local,
    "nystrom": nystrom,
    "performer": performer,
    "probsparse": probsparse,
    "smyrf": smyrf,
    "softmax": softmax,
}


def rescaled(q: Tensor, call: Call) -> Tensor:
    """q such that a mechanism whose scale is always d^(-1/2) has the scale of the call."""
    d = q.shape[-1]
    return q if call.scale is None or math.isclose(call.scale, d**-0.5) else q * (call.scale * d**0.5)


def smyrf_options(q: Tensor, call: Call) -> dict[str, Any]:
    """The arguments of SMYRF's function that this call decides, the directions drawn and on the device of q."""
    options = dict(call.options)
    for name in ("rounds", "cluster_size"):
        check_count(options[name], 1, name)
    if options["buckets"] is None:
        options["buckets"] = 2 * math.ceil(q.shape[2] / (2 * options["cluster_size"])) or 2
    drawn = directions(call.seed, q.shape[3], options["rounds"], options["scheme"], options["buckets"])
    return {**options, "directions": drawn.to(q.device), **({"causal": True} if call.causal else {})}


@functools.lru_cache(maxsize=512)
def directions(seed: int, d: int, rounds: int, scheme: str = "asymmetric", buckets: int = 2) -> Tensor:
    """Directions of SMYRF, for the asymmetric hash (d + 2, rounds), the same for a seed and these sizes everywhere."""
    from regard.mechanisms.smyrf.hashing import checked_directions

    with torch.inference_mode(False):
        return checked_directions(None, scheme, d, rounds, buckets, torch.Generator().manual_seed(seed))


@functools.lru_cache(maxsize=512)
def performer_projection(seed: int, heads: int, features: int, d: int) -> Tensor:
    """W of Performer, (heads, features, d), the same for a seed and these sizes everywhere."""
    from regard.mechanisms.performer.projection import orthogonal_projection

    with torch.inference_mode(False):
        return orthogonal_projection(heads, features, d, generator=torch.Generator().manual_seed(seed))
