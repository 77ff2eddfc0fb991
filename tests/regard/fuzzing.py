"""What the fuzz tests draw: sizes, types, memory layouts, masks, and what stands in masked or real places; and each
mechanism's function beside its plain reference: one that runs without options is found by itself, another is listed
with options for it.
"""

import inspect
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from regard import functional
from regard.common.patterns import Pattern, is_cross
from regard.mechanisms.abc import naive_abc
from regard.mechanisms.cosformer import naive_cosformer
from regard.mechanisms.hyper import naive_hyper
from regard.mechanisms.kde import naive_kde
from regard.mechanisms.lara import naive_lara
from regard.mechanisms.linformer import naive_linformer
from regard.mechanisms.local import naive_local
from regard.mechanisms.longshort import naive_longshort
from regard.mechanisms.nystrom import naive_nystrom
from regard.mechanisms.performer import naive_performer
from regard.mechanisms.probsparse import naive_probsparse, sample_keys
from regard.mechanisms.scatterbrain import naive_scatterbrain
from regard.mechanisms.smyrf import naive_smyrf
from regard.registry import list_mechanisms, mechanism_class
from tests.regard.vectors import draw

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
BAD = (math.nan, math.inf, -math.inf)


@dataclass(frozen=True)
class Sizes:
    """b, h, n, m, d, e of split heads, and their type."""

    b: int
    h: int
    n: int
    m: int
    d: int
    e: int
    dtype: torch.dtype = torch.float64


@dataclass(frozen=True)
class Function:
    """A mechanism's function and its reference; `options(sizes, causal)` are what both need beside q, k, v and the mask."""

    name: str
    naive: Callable[..., Tensor]
    options: Callable[[Sizes, bool], dict[str, Any]]
    only_fast: tuple[str, ...] = ()  # options that the reference does not take
    causal: bool = False  # has it a causal form?
    self_only: bool = False  # must n = m?
    one_width: bool = False  # must d = e?
    query_mask: bool = False  # does it want the mask of the queries too?
    places: bool = False  # weighs by places among the real tokens: a masked query stands nowhere, its row means nothing
    chooses: bool = False  # sorts or picks: another rounding is another result

    def fast(self, q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        result: Tensor = getattr(functional, self.name)(q, k, v, **options)
        return result

    def reference(self, q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        """In float64, on the same numbers; zeros where there is no key, and nothing where there is nothing."""
        if 0 in (*q.shape, *k.shape):
            return q.new_zeros(*q.shape[:3], v.shape[3], dtype=torch.float64)
        known = {key: wide(value) for key, value in options.items() if key not in self.only_fast}
        return self.naive(q.double(), k.double(), v.double(), **known)


def wide(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


def smyrf_options(s: Sizes, causal: bool) -> dict[str, Any]:
    return {"rounds": 2, "cluster_size": 3, "directions": draw(s.d + 2, 2, seed=5, dtype=s.dtype)}


def abc_options(s: Sizes, causal: bool) -> dict[str, Any]:
    slots = (draw(width, 3, seed=5, dtype=s.dtype) for width in (s.d, s.e))
    return {**dict(zip(("key_slots", "value_slots"), slots, strict=True)), "causal": causal}


def lara_options(s: Sizes, causal: bool) -> dict[str, Any]:
    return {"landmarks": 3, "noise": draw(1, s.h, 3, s.d, seed=5, dtype=s.dtype)}


def linformer_options(s: Sizes, causal: bool) -> dict[str, Any]:
    return {name: draw(3, 40, seed=5, dtype=s.dtype) for name in ("key_projection", "value_projection")}


def performer_options(s: Sizes, causal: bool) -> dict[str, Any]:
    return {"projection": draw(5, s.d, seed=5, dtype=s.dtype), "causal": causal}


def probsparse_options(s: Sizes, causal: bool) -> dict[str, Any]:
    sample = sample_keys(s.n, s.m, 1, seed=torch.tensor(3)) if s.m else torch.zeros(s.n, 1, dtype=torch.long)
    return {"factor": 1, "sample": sample}


def scatterbrain_options(s: Sizes, causal: bool) -> dict[str, Any]:
    return {"projection": draw(5, s.d, seed=5, dtype=s.dtype), "window": 2, "causal": causal}


def hyper_options(s: Sizes, causal: bool) -> dict[str, Any]:
    sample = torch.randint(max(1, s.m), (s.h, 4), generator=torch.Generator().manual_seed(5))
    directions = draw(s.d, 3, seed=5, dtype=s.dtype)
    return {"block_size": 3, "projections": 3, "directions": directions, "sample": sample}


def kde_options(s: Sizes, causal: bool) -> dict[str, Any]:
    draws = torch.randint(2**32, (s.h, 4), generator=torch.Generator().manual_seed(5))
    directions = draw(s.d, 3, seed=5, dtype=s.dtype)
    return {"block_size": 3, "projections": 3, "sample_size": 4, "directions": directions, "draws": draws}


def longshort_options(s: Sizes, causal: bool) -> dict[str, Any]:
    rows, norms = 2 * s.h, ("win", "dproj") if causal else ("long", "short")
    matrix = "dconv" if causal else "p"
    shapes = {f"W_{matrix}": (rows, 6), f"b_{matrix}": (rows,)}
    shapes |= {f"ln_{norm}_{part}": (s.h * s.d,) for norm in norms for part in "wb"}
    arrays = {name: draw(*shape, seed=i, dtype=s.dtype) for i, (name, shape) in enumerate(shapes.items())}
    return {"x": draw(s.b, s.n, 6, seed=9, dtype=s.dtype), "window": 3, "chunk": 4, "causal": causal, **arrays}


LISTED = (
    Function("abc", naive_abc, abc_options, causal=True),
    Function("cosformer", naive_cosformer, lambda s, causal: {"causal": causal}, causal=True, places=True),
    Function("hyper", naive_hyper, hyper_options, only_fast=("projections",), query_mask=True, chooses=True),
    Function("kde", naive_kde, kde_options, only_fast=("projections", "sample_size"), query_mask=True, chooses=True),
    Function("lara", naive_lara, lara_options, self_only=True),
    Function("linformer", naive_linformer, linformer_options),
    Function("local", naive_local, lambda s, causal: {"window": 2, "causal": causal}, causal=True, self_only=True),
    Function("longshort", naive_longshort, longshort_options, causal=True, self_only=True, one_width=True),
    Function("nystrom", naive_nystrom, lambda s, causal: {"landmarks": 3}, self_only=True),
    Function("performer", naive_performer, performer_options, causal=True),
    Function("probsparse", naive_probsparse, probsparse_options, query_mask=True, chooses=True),
    Function("scatterbrain", naive_scatterbrain, scatterbrain_options, causal=True, self_only=True),
    Function("smyrf", naive_smyrf, smyrf_options, only_fast=("rounds",), query_mask=True, chooses=True),
)


def without_options(name: str) -> Function | None:
    """The function of a mechanism that runs without options, beside `naive_<name>` in its file; `None`: it has none, or it needs some."""
    cls = mechanism_class(name)
    naive = vars(sys.modules[cls.__module__]).get(f"naive_{name}")
    if naive is None or name not in dir(functional):
        return None
    parameters = inspect.signature(getattr(functional, name)).parameters
    if any(each.default is each.empty for each in parameters.values() if each.kind is each.KEYWORD_ONLY):
        return None
    has_causal, cross = "causal" in parameters, any(map(is_cross, cls.patterns))

    def options(s: Sizes, causal: bool) -> dict[str, Any]:
        return {"causal": causal} if has_causal else {}

    return Function(name, naive, options, causal=has_causal, self_only=not cross)


FUNCTIONS = LISTED + tuple(
    function
    for name in list_mechanisms()
    if name not in {one.name for one in LISTED} and (function := without_options(name)) is not None
)

# How a tensor may lie in memory: as it comes, heads beside the width, columns first, every second number, every second row, one row for all.
PLACES = ("contiguous", "heads inside", "columns first", "every second", "every second row", "one row", "one head")


def laid_out(x: Tensor, place: str) -> Tensor:
    """x (b, h, n, d) in another layout; "one row" and "one head" repeat the first."""
    if place == "heads inside":
        return x.transpose(1, 2).contiguous().transpose(1, 2)
    if place == "columns first":
        return x.mT.contiguous().mT
    if place == "every second":
        return torch.stack((x, x + 1), -1).flatten(3)[..., ::2]
    if place == "every second row":
        return torch.stack((x, x + 1), 3).flatten(2, 3)[:, :, ::2]
    if place == "one row":
        return x[:1].expand_as(x)
    return x[:, :1].expand_as(x) if place == "one head" else x


LENGTHS = (0, 1, 2, 3, 7, 12, 33)


@st.composite
def sizes(draw_: st.DrawFn, function: Function, least: int = 0) -> Sizes:
    """Sizes that the function takes; batch and lengths of at least `least`."""
    lengths = st.sampled_from([length for length in LENGTHS if length >= least])
    b, h, n = draw_(st.integers(least, 3)), draw_(st.integers(1, 3)), draw_(lengths)
    m = n if function.self_only else draw_(lengths)
    d, e = draw_(st.integers(1, 5)), draw_(st.integers(1, 5))
    dtype = torch.float64 if function.chooses else draw_(st.sampled_from(DTYPES))
    return Sizes(b, h, n, m, d, d if function.one_width else e, dtype)


def layer_cases() -> list[tuple[str, Pattern]]:
    """Every registered mechanism with every pattern that it declares."""
    return [(name, pattern) for name in list_mechanisms() for pattern in mechanism_class(name).patterns]


def certified(name: str, pattern: Pattern) -> Any:
    """A layer of width 8 and two heads with the options that it is certified with, in float64, its parameters moved from where they start."""
    cls = mechanism_class(name)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        layer = cls(width=8, heads=2, pattern=pattern, **cls.example)
        for parameter in layer.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return layer.double().eval()


COUNTS = (
    "block_size",
    "chunk",
    "chunk_rank",
    "cluster_size",
    "convolution",
    "factor",
    "features",
    "heads",
    "horizon",
    "key_block_size",
    "key_cluster_size",
    "landmarks",
)
COUNTS += ("length", "projections", "rank", "rounds", "slots", "state", "width", "window")
WRONG_OPTIONS = [
    *((name, value) for name in COUNTS for value in (0, -1, 2.5, "3", True)),
    *((name, value) for name in ("iterations", "sample_size") for value in (-1, 2.5, "3", True)),
    *((name, value) for name in ("variant", "start", "pattern") for value in ("x", 3, None)),
    *((name, value) for name in ("positions", "bias", "causal", "bidirectional") for value in ("no", 1, None)),
    *((name, value) for name in ("scale", "epsilon") for value in ("1", math.nan, math.inf, True, 1j)),
    ("epsilon", -1.0),
    *(("seed", value) for value in ("x", 2.5)),
    ("slotz", 3),
]


def wrong_tensors(x: Tensor) -> Iterator[tuple[Any, str]]:
    """What cannot stand in the place of the floating point tensor x, and a word of what is said about it."""
    yield None, "NoneType"
    yield "x", "str"
    yield x.tolist(), "list"
    yield x.long(), "torch.int64"
    yield x.bool(), "torch.bool"
    yield x + 0j, "torch.complex64"
    yield x.to("meta"), "meta"
    yield x[..., None], "got"
    yield x[..., :-1], "got"


def wrong_masks(mask: Tensor) -> Iterator[tuple[Any, str]]:
    """What cannot stand in the place of a mask (b, n), and a word of what is said about it."""
    yield "x", "str"
    yield mask.tolist(), "list"
    yield mask.long(), "torch.int64"
    yield mask.float(), "torch.float32"
    yield mask[:1], str((1, mask.shape[1]))
    yield mask[:, 1:], str((mask.shape[0], mask.shape[1] - 1))
    yield mask[0], str(tuple(mask.shape[1:]))
    yield mask.to("meta"), "meta"
