"""What trained attention layers are given: q, k and v of every layer, caught while a model reads its inputs; and other attention in their place.

    with attending(model, lambda place, x: dense(x)):         # a Hugging Face model; `place` counts its attention layers from 0
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
MARK = "smyrf_analysis"  # the attribute of an attention module that holds its place and what attends for it


@dataclass(frozen=True)
class Vectors:
    """What one attention layer is given: q (b, h, n, d), k (b, h, m, d), v (b, h, m, e); `scale` multiplies q · k."""

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

    `run()` gives what the model makes of them, one row an input (b, w); `attending(attend)` is a block in which every attention layer gives
    `attend(place, vectors)` (b, h, n, e). `grid`: rows and columns of the queries that lie in a picture, which are the last ones.
    """

    run: Callable[[], Tensor]
    attending: Callable[[Attend], AbstractContextManager[None]]
    grid: tuple[int, int] | None = None
    pictures: Tensor | None = None  # (b, height, width, 3) or (b, height, width) uint8, what `run` looks at or makes


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

    def attend(place: int, x: Vectors) -> Tensor:
        caught[place] = x
        return dense(x)

    result = result_with(subject, attend)
    return Captured([caught[place] for place in sorted(caught)], result)


@torch.inference_mode()
def result_with(subject: Subject, attend: Attend) -> Tensor:
    """What the model makes of its inputs with this attention in every layer."""
    with subject.attending(attend):
        return subject.run()


@contextmanager
def attending(model: Any, attend: Attend) -> Iterator[None]:
    """Within the block every attention layer of a Hugging Face model gives `attend(place, vectors)`. Inputs without padding only (ValueError)."""
    from transformers import AttentionInterface, AttentionMaskInterface

    from regard.adapters.huggingface import attention_modules, padding_mask

    AttentionInterface.register(IMPLEMENTATION, _attention)
    AttentionMaskInterface.register(IMPLEMENTATION, padding_mask)
    modules = list(attention_modules(model))
    before = model.config._attn_implementation
    for place, module in enumerate(modules):
        setattr(module, MARK, (place, attend))
    model.set_attn_implementation(IMPLEMENTATION)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
        for module in modules:
            delattr(module, MARK)


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
    place, attend = getattr(module, MARK)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out = attend(place, Vectors(query, key, value, scale))
    return out.transpose(1, 2).contiguous(), None
