"""Every attention of a Hugging Face model while it runs, by the model's own formula: weights and values of all heads, layer by layer.

    with observed(model, see):          # see(Layer) once per attention, in the order of the calls
        model(**inputs)

The model's attention implementation is plain softmax meanwhile, through transformers' attention interface, so that
gradients pass through it; then it is what it was. A model whose attention does not go through that interface, or asks
for more than softmax (capped scores, sinks), is an error.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from regard_lab.common.errors import UserError

NAME = "explaining-observed"
BEYOND_SOFTMAX = ("softcap", "s_aux", "sinks", "position_bias")


class Layer(NamedTuple):
    """One attention as it ran.

    Attributes:
        number: Its place among the calls, from 0.
        attention: `(b, h, n, m)`.
        values: `(b, h, m, e)`, one per query head, bias and all.
        visible: `(n, m)`, True where a query can see a key, in some head and text.
    """

    number: int
    attention: Tensor
    values: Tensor
    visible: Tensor


@contextmanager
def observed(model: Any, see: Callable[[Layer], None]) -> Iterator[None]:
    """Within the block, hand each attention of the model to `see`.

    Raises:
        UserError: The model's attention does not go through transformers' attention interface.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    calls = 0

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **given: Any
    ) -> tuple[Tensor, Tensor]:
        nonlocal calls
        if beyond := [name for name in BEYOND_SOFTMAX if given.get(name) is not None]:
            raise UserError(f"{type(module).__name__} asks for {beyond[0]}, and is no plain softmax attention")
        weights, values = softmax_attention(query, key, value, attention_mask, given.get("scaling"))
        see(Layer(calls, weights, values, visible_keys(weights)))
        calls += 1
        return (weights @ values).transpose(1, 2).contiguous(), weights

    before = model.config._attn_implementation
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, eager_mask)
    try:
        model.set_attn_implementation(NAME)
        yield
    except ValueError as error:
        raise UserError(f"{type(model).__name__} cannot be observed: {error}") from error
    finally:
        model.set_attn_implementation(before or "eager")
    if not calls:
        raise UserError(
            f"{type(model).__name__} ran, but none of its attentions went through transformers' attention interface"
        )


def softmax_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float | None
) -> tuple[Tensor, Tensor]:
    """The weights `(b, h, n, m)` and the values `(b, h, m, e)` that they weigh.

    Args:
        query: `(b, h, n, d)`.
        key: `(b, g, m, d)`, h a multiple of g.
        value: `(b, g, m, e)`.
        mask: Added to the scores, `(b, 1, n, m)` or longer in m; or None.
        scale: Of the scores; None for d ** -0.5.
    """
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = scores + mask[..., : key.shape[2]]
    return scores.softmax(-1, dtype=torch.float32).to(value.dtype), value


def visible_keys(weights: Tensor) -> Tensor:
    """Which keys each query can see, `(n, m)`: a masked one has no weight in any head."""
    seen: Tensor = (weights.detach() > 0).any(0).any(0)
    return seen
