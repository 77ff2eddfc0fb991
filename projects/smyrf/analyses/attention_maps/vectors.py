"""The inputs of trained attention layers: q, k and v of every layer, caught while a model reads its inputs; and other attention in their place.

    with attending(model, lambda layer, x: dense(x)):         # a Hugging Face model; `layer` counts its attention layers from 0
        model(ids)
    caught = capture(subject)                                 # caught.layers[3].q (b, h, n, d), caught.result (b, w)

The model's code and weights stay as they are, and so does its own attention once the block ends.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regard.functional import softmax

IMPLEMENTATION = "smyrf-analysis"  # the name that transformers knows the function by
ATTRIBUTE = "smyrf_analysis"  # of an attention module: the number of its layer, and what attends for it


@dataclass(frozen=True)
class Vectors:
    """The inputs of one attention layer: q (b, h, n, d), k (b, h, m, d), v (b, h, m, e); `scale` multiplies q · k."""

    q: Tensor
    k: Tensor
    v: Tensor
    scale: float

    def weights(self) -> Tensor:
        """Dense attention's weights, (b, h, n, m)."""
        scores = (self.q * self.scale) @ self.k.mT
        return torch.softmax(scores, -1, out=scores) if not scores.requires_grad else scores.softmax(-1)


Attend = Callable[[int, Vectors], Tensor]


@dataclass(frozen=True)
class Subject:
    """A trained model with its inputs.

    `run()` gives the model's result, one row per input (b, w); `attending(attend)` is a block in which every attention
    layer gives `attend(layer, vectors)` (b, h, n, e). `grid`: rows and columns of the queries that lie in a picture,
    which are the last ones.
    """

    run: Callable[[], Tensor]
    attending: Callable[[Attend], AbstractContextManager[None]]
    grid: tuple[int, int] | None = None
    pictures: Tensor | None = None  # (b, height, width, 3) or (b, height, width) uint8, what `run` reads or generates


@dataclass(frozen=True)
class Captured:
    """The vectors of every attention layer in the order of the layers, and the model's result under dense attention."""

    layers: list[Vectors]
    result: Tensor


def dense(x: Vectors) -> Tensor:
    """Softmax attention over all keys."""
    out: Tensor = softmax(x.q, x.k, x.v, scale=x.scale)
    return out


@torch.inference_mode()
def capture(subject: Subject) -> Captured:
    """One run with dense attention, everything caught."""
    caught: dict[int, Vectors] = {}

    def attend(layer: int, x: Vectors) -> Tensor:
        caught[layer] = x
        return dense(x)

    result = result_with(subject, attend)
    return Captured([caught[layer] for layer in sorted(caught)], result)


@torch.inference_mode()
def result_with(subject: Subject, attend: Attend) -> Tensor:
    """The model's result (b, w) with this attention in every layer."""
    with subject.attending(attend):
        return subject.run()


@contextmanager
def attending(model: Any, attend: Attend) -> Iterator[None]:
    """Within the block every attention layer of a Hugging Face model gives `attend(layer, vectors)`. Inputs without padding only (ValueError)."""
    from transformers import AttentionInterface, AttentionMaskInterface

    from regard.adapters.huggingface import attention_modules, padding_mask

    AttentionInterface.register(IMPLEMENTATION, _attention)
    AttentionMaskInterface.register(IMPLEMENTATION, padding_mask)
    modules = list(attention_modules(model))
    before = model.config._attn_implementation
    for layer, module in enumerate(modules):
        setattr(module, ATTRIBUTE, (layer, attend))
    model.set_attn_implementation(IMPLEMENTATION)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
        for module in modules:
            delattr(module, ATTRIBUTE)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """The attention function of transformers: heads first in, tokens first out."""
    if attention_mask is not None:
        raise ValueError(
            f"the inputs are padded (a mask of shape {tuple(attention_mask.shape)}): take inputs of one length"
        )
    layer, attend = getattr(module, ATTRIBUTE)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out = attend(layer, Vectors(query, key, value, scale))
    return out.transpose(1, 2).contiguous(), None
