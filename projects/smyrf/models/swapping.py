"""SMYRF in the place of a Hugging Face model's attention for the length of a block; no weight and no code of the model changes.

    with swapped(model, Swap(rounds=2, cluster_size=32, dedup=True)):
        model(ids)
    with swapped(model, None):                     # dense attention by torch's fused kernel
        model(ids)

What a model may ask of its attention, and what is refused, is documented in `regard.adapters.huggingface`, which does the work.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from projects.smyrf.config import Scheme
from regard import cost
from regard.adapters import huggingface

FUSED = "sdpa"


@dataclass(frozen=True)
class Swap:
    """SMYRF's options; `layers` are the numbers of those that get it (None: all), counted from 0."""

    rounds: int
    cluster_size: int
    scheme: Scheme = "asymmetric"
    dedup: bool = False
    layers: tuple[int, ...] | None = None
    seed: int = 0
    hash_rounds: int | None = None

    def score_memory(self, n: int, causal: bool, layers: int) -> float:
        """Score entries of n tokens as a share of dense attention's n², the mean over the model's layers."""
        pattern = "causal_self" if causal else "noncausal_self"
        own = cost.score_memory("smyrf", n=n, rounds=self.rounds, cluster_size=self.cluster_size, pattern=pattern)
        swapped_layers = layers if self.layers is None else len(self.layers)
        return (swapped_layers * own + layers - swapped_layers) / layers


@contextmanager
def swapped(model: Any, swap: Swap | None) -> Iterator[None]:
    """Within the block the model's attention is SMYRF, or for None the fused kernel; afterwards it is what it was before.

    Raises:
        ValueError: The model has no attention that can be swapped, or not the layers that are named.
    """
    with restored(model):
        if swap is None:
            model.set_attn_implementation(FUSED)
        else:
            put(model, swap)
        yield


@contextmanager
def restored(model: Any) -> Iterator[None]:
    """After the block the model's attention is what it was before, whatever was set in it.

    Raises:
        ValueError: The model has no attention that can be swapped.
    """
    huggingface.register()
    before = model.config._attn_implementation
    configs = {id(module.config): module.config for module in modules_of(model)}.values()
    settings = [vars(config).get(huggingface.SETTINGS) for config in configs]
    try:
        yield
    finally:
        model.set_attn_implementation(before)
        for config, old in zip(configs, settings, strict=True):
            vars(config).pop(huggingface.SETTINGS, None)
            if old is not None:
                setattr(config, huggingface.SETTINGS, old)


def put(model: Any, swap: Swap) -> None:
    """Have the model run SMYRF, in the layers that the swap names."""
    options: dict[str, Any] = {"rounds": swap.rounds, "cluster_size": swap.cluster_size, "scheme": swap.scheme}
    options |= {"dedup": swap.dedup, "hash_rounds": swap.hash_rounds}
    model.set_attn_implementation("regard-smyrf" if swap.layers is None else "regard-softmax")
    huggingface.configure(model, mechanism="smyrf", layers=swap.layers, seed=swap.seed, **options)


def modules_of(model: Any) -> list[Any]:
    """The model's attention modules in their order; ValueError if it has none that go through transformers' attention interface."""
    modules = list(huggingface.attention_modules(model))
    if not modules:
        raise ValueError(
            f"{type(model).__name__} has no attention that goes through transformers' attention interface, so that none can be swapped"
        )
    return modules


def is_causal(model: Any) -> bool:
    """Is the model's attention causal?"""
    return huggingface.is_causal_module(modules_of(model)[0], None)
