"""`regard.build` as type checkers see it: one signature per mechanism of this library, those of their constructors.

Written by `python -m tests.regard.signatures` and held to the constructors by a test. At run time `regard.build` is `regard.registry.build`.
"""

from typing import Literal, overload

import torch

from regard.mechanisms.abc import AbcAttention
from regard.mechanisms.cosformer import CosformerAttention
from regard.mechanisms.efficient import EfficientAttention
from regard.mechanisms.hyper import HyperAttention
from regard.mechanisms.kde import KdeAttention
from regard.mechanisms.lara import LaraAttention
from regard.mechanisms.linformer import LinformerAttention
from regard.mechanisms.local import LocalAttention
from regard.mechanisms.longshort import LongShortAttention
from regard.mechanisms.nystrom import NystromAttention
from regard.mechanisms.optimised import OptimisedAttention
from regard.mechanisms.performer import PerformerAttention
from regard.mechanisms.probsparse import ProbSparseAttention
from regard.mechanisms.s4d import S4dLayer
from regard.mechanisms.scatterbrain import ScatterbrainAttention
from regard.mechanisms.smyrf import SmyrfAttention
from regard.mechanisms.softmax import SoftmaxAttention
from regard.mechanisms.super import SuperAttention

@overload
def build(
    name: Literal["abc"],
    *,
    width: int,
    heads: int,
    slots: int = 16,
    variant: Literal["paper", "released"] = "paper",
    pattern: Literal["noncausal_self", "causal_self", "noncausal_cross", "causal_cross"] = "noncausal_self",
    bias: bool = True,
) -> AbcAttention: ...
@overload
def build(
    name: Literal["cosformer"],
    *,
    width: int,
    heads: int,
    horizon: int | None = None,
    pattern: Literal["noncausal_self", "causal_self", "noncausal_cross"] = "noncausal_self",
    bias: bool = True,
) -> CosformerAttention: ...
@overload
def build(
    name: Literal["efficient"],
    *,
    width: int,
    heads: int,
    pattern: Literal["noncausal_self", "causal_self", "noncausal_cross", "causal_cross"] = "noncausal_self",
    bias: bool = True,
) -> EfficientAttention: ...
@overload
def build(
    name: Literal["hyper"],
    *,
    width: int,
    heads: int,
    pattern: Literal["noncausal_self", "noncausal_cross"] = "noncausal_self",
    bias: bool = True,
    block_size: int = 256,
    key_block_size: int | None = None,
    sample_size: int = 256,
    projections: int = 7,
    generator: torch.Generator | None = None,
) -> HyperAttention: ...
@overload
def build(
    name: Literal["kde"],
    *,
    width: int,
    heads: int,
    pattern: Literal["noncausal_self", "noncausal_cross"] = "noncausal_self",
    bias: bool = True,
    block_size: int = 256,
    key_block_size: int | None = None,
    sample_size: int = 256,
    projections: int = 7,
    generator: torch.Generator | None = None,
) -> KdeAttention: ...
@overload
def build(
    name: Literal["lara"],
    *,
    width: int,
    heads: int,
    landmarks: int = 16,
    pattern: Literal["noncausal_self"] = "noncausal_self",
    bias: bool = True,
) -> LaraAttention: ...
@overload
def build(
    name: Literal["linformer"],
    *,
    width: int,
    heads: int,
    length: int,
    rank: int = 128,
    pattern: Literal["noncausal_self", "noncausal_cross"] = "noncausal_self",
    bias: bool = True,
) -> LinformerAttention: ...
@overload
def build(
    name: Literal["local"],
    *,
    width: int,
    heads: int,
    window: int = 15,
    variant: Literal["paper", "released"] = "paper",
    pattern: Literal["noncausal_self", "causal_self"] = "noncausal_self",
    bias: bool = True,
) -> LocalAttention: ...
@overload
def build(
    name: Literal["longshort"],
    *,
    width: int,
    heads: int,
    landmarks: int = 16,
    window: int | None = None,
    chunk: int = 32,
    chunk_rank: int = 1,
    positions: bool = True,
    pattern: Literal["noncausal_self", "causal_self"] = "noncausal_self",
    bias: bool = True,
) -> LongShortAttention: ...
@overload
def build(
    name: Literal["nystrom"],
    *,
    width: int,
    heads: int,
    landmarks: int = 16,
    iterations: int = 6,
    convolution: int | None = None,
    variant: Literal["paper", "released"] = "paper",
    pattern: Literal["noncausal_self"] = "noncausal_self",
    bias: bool = True,
) -> NystromAttention: ...
@overload
def build(
    name: Literal["optimised"],
    *,
    width: int,
    heads: int,
    pattern: Literal["noncausal_self", "causal_self", "noncausal_cross", "causal_cross"] = "noncausal_self",
    bias: bool = True,
) -> OptimisedAttention: ...
@overload
def build(
    name: Literal["performer"],
    *,
    width: int,
    heads: int,
    features: int = 16,
    epsilon: float | None = None,
    generator: torch.Generator | None = None,
    variant: Literal["paper", "released"] = "paper",
    pattern: Literal["noncausal_self", "causal_self", "noncausal_cross", "causal_cross"] = "noncausal_self",
    bias: bool = True,
) -> PerformerAttention: ...
@overload
def build(
    name: Literal["probsparse"],
    *,
    width: int,
    heads: int,
    factor: int = 5,
    seed: int | None = None,
    pattern: Literal["noncausal_self"] = "noncausal_self",
    bias: bool = True,
) -> ProbSparseAttention: ...
@overload
def build(
    name: Literal["s4d"],
    *,
    width: int,
    heads: int,
    state: int = 16,
    start: Literal["inverse", "linear"] = "inverse",
    variant: Literal["paper", "released"] = "paper",
    pattern: Literal["noncausal_self", "causal_self"] = "noncausal_self",
    bias: bool = True,
) -> S4dLayer: ...
@overload
def build(
    name: Literal["scatterbrain"],
    *,
    width: int,
    heads: int,
    window: int = 15,
    features: int = 16,
    generator: torch.Generator | None = None,
    pattern: Literal["noncausal_self", "causal_self"] = "noncausal_self",
    bias: bool = True,
) -> ScatterbrainAttention: ...
@overload
def build(
    name: Literal["smyrf"],
    *,
    width: int,
    heads: int,
    pattern: Literal["noncausal_self", "causal_self", "noncausal_cross"] = "noncausal_self",
    bias: bool = True,
    rounds: int = 2,
    cluster_size: int = 32,
    key_cluster_size: int | None = None,
    scheme: Literal["asymmetric", "plain", "reformer", "random"] = "asymmetric",
    buckets: int = 32,
    dedup: bool = False,
    hash_rounds: int | None = None,
    redraw: bool = False,
    generator: torch.Generator | None = None,
) -> SmyrfAttention: ...
@overload
def build(
    name: Literal["softmax"],
    *,
    width: int,
    heads: int,
    pattern: Literal["noncausal_self", "causal_self", "noncausal_cross", "causal_cross"] = "noncausal_self",
    bias: bool = True,
) -> SoftmaxAttention: ...
@overload
def build(
    name: Literal["super"],
    *,
    width: int,
    heads: int,
    length: int,
    pattern: Literal["noncausal_self", "causal_self", "noncausal_cross", "causal_cross"] = "noncausal_self",
    bias: bool = True,
) -> SuperAttention: ...
