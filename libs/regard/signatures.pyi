"""`build`, `swap` and `replace_attention` of `regard` as type checkers see them: one signature per mechanism of this library.

Written by `python -m tests.regard.signatures` and held to the constructors by a test. At run time `regard.build` is
`regard.registry.build`, `regard.swap` is `regard.adapters.swapping.swap`, and `regard.replace_attention` is
`regard.adapters.torch_modules.replace_attention`; these take any name.
"""

from collections.abc import Collection
from typing import Any, Literal, overload

import torch
from torch import nn

from regard.adapters.swapping import SwapReport, Where
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
@overload
def swap(
    model: nn.Module,
    mechanism: Literal["cosformer"],
    *,
    where: Where = None,
    example: Any = None,
    seed: int = 0,
    horizon: int | None = None,
) -> SwapReport: ...
@overload
def swap(
    model: nn.Module,
    mechanism: Literal["hyper"],
    *,
    where: Where = None,
    example: Any = None,
    seed: int = 0,
    block_size: int = 256,
    key_block_size: int | None = None,
    sample_size: int = 256,
    projections: int = 7,
) -> SwapReport: ...
@overload
def swap(
    model: nn.Module,
    mechanism: Literal["kde"],
    *,
    where: Where = None,
    example: Any = None,
    seed: int = 0,
    block_size: int = 256,
    key_block_size: int | None = None,
    sample_size: int = 256,
    projections: int = 7,
) -> SwapReport: ...
@overload
def swap(
    model: nn.Module,
    mechanism: Literal["lara"],
    *,
    where: Where = None,
    example: Any = None,
    seed: int = 0,
    landmarks: int = 16,
) -> SwapReport: ...
@overload
def swap(
    model: nn.Module,
    mechanism: Literal["local"],
    *,
    where: Where = None,
    example: Any = None,
    seed: int = 0,
    window: int = 15,
) -> SwapReport: ...
@overload
def swap(
    model: nn.Module,
    mechanism: Literal["nystrom"],
    *,
    where: Where = None,
    example: Any = None,
    seed: int = 0,
    landmarks: int = 16,
    iterations: int = 6,
) -> SwapReport: ...
@overload
def swap(
    model: nn.Module,
    mechanism: Literal["performer"],
    *,
    where: Where = None,
    example: Any = None,
    seed: int = 0,
    features: int = 16,
) -> SwapReport: ...
@overload
def swap(
    model: nn.Module,
    mechanism: Literal["probsparse"],
    *,
    where: Where = None,
    example: Any = None,
    seed: int = 0,
    factor: int = 5,
) -> SwapReport: ...
@overload
def swap(
    model: nn.Module,
    mechanism: Literal["scatterbrain"],
    *,
    where: Where = None,
    example: Any = None,
    seed: int = 0,
    window: int = 15,
    features: int = 16,
) -> SwapReport: ...
@overload
def swap(
    model: nn.Module,
    mechanism: Literal["smyrf"] = "smyrf",
    *,
    where: Where = None,
    example: Any = None,
    seed: int = 0,
    rounds: int = 2,
    cluster_size: int = 32,
    key_cluster_size: int | None = None,
    scheme: Literal["asymmetric", "plain", "reformer", "random"] = "asymmetric",
    buckets: int | None = None,
    dedup: bool = False,
    hash_rounds: int | None = None,
) -> SwapReport: ...
@overload
def swap(
    model: nn.Module, mechanism: Literal["softmax"], *, where: Where = None, example: Any = None, seed: int = 0
) -> SwapReport: ...
@overload
def replace_attention(
    model: nn.Module,
    mechanism: Literal["abc"],
    *,
    pattern: Literal["noncausal_self", "causal_self", "noncausal_cross", "causal_cross"] | None = None,
    only: str | Collection[str] | None = None,
    self_attention: bool | None = None,
    seed: int = 0,
    slots: int = 16,
    variant: Literal["paper", "released"] = "paper",
) -> list[str]: ...
@overload
def replace_attention(
    model: nn.Module,
    mechanism: Literal["cosformer"],
    *,
    pattern: Literal["noncausal_self", "causal_self", "noncausal_cross"] | None = None,
    only: str | Collection[str] | None = None,
    self_attention: bool | None = None,
    seed: int = 0,
    horizon: int | None = None,
) -> list[str]: ...
@overload
def replace_attention(
    model: nn.Module,
    mechanism: Literal["hyper"],
    *,
    pattern: Literal["noncausal_self", "noncausal_cross"] | None = None,
    only: str | Collection[str] | None = None,
    self_attention: bool | None = None,
    seed: int = 0,
    block_size: int = 256,
    key_block_size: int | None = None,
    sample_size: int = 256,
    projections: int = 7,
    generator: torch.Generator | None = None,
) -> list[str]: ...
@overload
def replace_attention(
    model: nn.Module,
    mechanism: Literal["kde"],
    *,
    pattern: Literal["noncausal_self", "noncausal_cross"] | None = None,
    only: str | Collection[str] | None = None,
    self_attention: bool | None = None,
    seed: int = 0,
    block_size: int = 256,
    key_block_size: int | None = None,
    sample_size: int = 256,
    projections: int = 7,
    generator: torch.Generator | None = None,
) -> list[str]: ...
@overload
def replace_attention(
    model: nn.Module,
    mechanism: Literal["lara"],
    *,
    pattern: Literal["noncausal_self"] | None = None,
    only: str | Collection[str] | None = None,
    self_attention: bool | None = None,
    seed: int = 0,
    landmarks: int = 16,
) -> list[str]: ...
@overload
def replace_attention(
    model: nn.Module,
    mechanism: Literal["linformer"],
    *,
    pattern: Literal["noncausal_self", "noncausal_cross"] | None = None,
    only: str | Collection[str] | None = None,
    self_attention: bool | None = None,
    seed: int = 0,
    length: int,
    rank: int = 128,
) -> list[str]: ...
@overload
def replace_attention(
    model: nn.Module,
    mechanism: Literal["local"],
    *,
    pattern: Literal["noncausal_self", "causal_self"] | None = None,
    only: str | Collection[str] | None = None,
    self_attention: bool | None = None,
    seed: int = 0,
    window: int = 15,
    variant: Literal["paper", "released"] = "paper",
) -> list[str]: ...
@overload
def replace_attention(
    model: nn.Module,
    mechanism: Literal["longshort"],
    *,
    pattern: Literal["noncausal_self", "causal_self"] | None = None,
    only: str | Collection[str] | None = None,
    self_attention: bool | None = None,
    seed: int = 0,
    landmarks: int = 16,
    window: int | None = None,
    chunk: int = 32,
    chunk_rank: int = 1,
    positions: bool = True,
) -> list[str]: ...
@overload
def replace_attention(
    model: nn.Module,
    mechanism: Literal["nystrom"],
    *,
    pattern: Literal["noncausal_self"] | None = None,
    only: str | Collection[str] | None = None,
    self_attention: bool | None = None,
    seed: int = 0,
    landmarks: int = 16,
    iterations: int = 6,
    convolution: int | None = None,
    variant: Literal["paper", "released"] = "paper",
) -> list[str]: ...
@overload
def replace_attention(
    model: nn.Module,
    mechanism: Literal["performer"],
    *,
    pattern: Literal["noncausal_self", "causal_self", "noncausal_cross", "causal_cross"] | None = None,
    only: str | Collection[str] | None = None,
    self_attention: bool | None = None,
    seed: int = 0,
    features: int = 16,
    epsilon: float | None = None,
    generator: torch.Generator | None = None,
    variant: Literal["paper", "released"] = "paper",
) -> list[str]: ...
@overload
def replace_attention(
    model: nn.Module,
    mechanism: Literal["probsparse"],
    *,
    pattern: Literal["noncausal_self"] | None = None,
    only: str | Collection[str] | None = None,
    self_attention: bool | None = None,
    seed: int = 0,
    factor: int = 5,
) -> list[str]: ...
@overload
def replace_attention(
    model: nn.Module,
    mechanism: Literal["scatterbrain"],
    *,
    pattern: Literal["noncausal_self", "causal_self"] | None = None,
    only: str | Collection[str] | None = None,
    self_attention: bool | None = None,
    seed: int = 0,
    window: int = 15,
    features: int = 16,
    generator: torch.Generator | None = None,
) -> list[str]: ...
@overload
def replace_attention(
    model: nn.Module,
    mechanism: Literal["smyrf"],
    *,
    pattern: Literal["noncausal_self", "causal_self", "noncausal_cross"] | None = None,
    only: str | Collection[str] | None = None,
    self_attention: bool | None = None,
    seed: int = 0,
    rounds: int = 2,
    cluster_size: int = 32,
    key_cluster_size: int | None = None,
    scheme: Literal["asymmetric", "plain", "reformer", "random"] = "asymmetric",
    buckets: int = 32,
    dedup: bool = False,
    hash_rounds: int | None = None,
    redraw: bool = False,
    generator: torch.Generator | None = None,
) -> list[str]: ...
@overload
def replace_attention(
    model: nn.Module,
    mechanism: Literal["softmax"],
    *,
    pattern: Literal["noncausal_self", "causal_self", "noncausal_cross", "causal_cross"] | None = None,
    only: str | Collection[str] | None = None,
    self_attention: bool | None = None,
    seed: int = 0,
) -> list[str]: ...
