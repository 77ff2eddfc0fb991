"""Rotary positions (Su et al. 2021) for the four mechanisms, all tokens at once or token by token with a state.

    q_t, k_t -> R_t q_t, R_t k_t        R_t rotates the coordinates i and i + d/2 by the angle t / base^(2 i / d)

What the state holds per token, for those that follow:

    softmax, optimised     its rotated key and its value: 2 w numbers
    efficient              its input, which is key and value at once: w numbers; the keys are rotated anew at every step
    super                  its input and its mixed value v'_t = Σ_{j ≤ t} W^A_tj v_j + β_t: 2 w numbers, and the product over j at every step
"""

from typing import Any

import torch
from torch import Tensor

from regard.attention import Attention
from regard.mechanisms.softmax import softmax
from regard.registry import mechanism_class
from regard_lab.common.rotary import rotated


class Rotary(Attention):
    """A mixin before a mechanism's class: causal self attention whose queries and keys are rotated, and never its values."""

    base: float

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return super().mix(rotated(q, 0, self.base), rotated(k, 0, self.base), v, key_mask)

    def mix_step(self, q: Tensor, k: Tensor, v: Tensor, state: tuple[Tensor, ...] | None) -> Any:
        """One token. The state is (rotated keys, values), or for a mechanism without a map of keys (inputs,) or (inputs, mixed values).

        Raises:
            ValueError: Super attention has no row of W^A for this token.
        """
        position = 0 if state is None else state[0].shape[2]
        q = rotated(q, position, self.base)
        if "key" in self.maps:
            state = extended(state, rotated(k, position, self.base), v)
            return softmax(q, *state), state
        if (mixing := getattr(self, "mixing", None)) is None:
            state = extended(state, v)
        else:
            if position >= len(mixing.weight):
                raise ValueError(f"Super attention of length {len(mixing.weight)} cannot take a token {position + 1}")
            inputs = v if state is None else torch.cat([state[0], v], 2)
            mixed = mixing.weight[position, : position + 1] @ inputs  # b h e
            mixed = mixed if mixing.bias is None else mixed + mixing.bias[position]
            state = extended(state, v, mixed[:, :, None])
        return softmax(q, rotated(state[0], 0, self.base), state[-1]), state


def extended(state: tuple[Tensor, ...] | None, *rows: Tensor) -> tuple[Tensor, ...]:
    """The state with one more row in each of its tensors (b, h, ·, d)."""
    if state is None:
        return rows
    return tuple(torch.cat([before, row], 2) for before, row in zip(state, rows, strict=True))


def rotary_layer(name: str, *, width: int, heads: int, length: int, base: float, bias: bool) -> Attention:
    """Causal self attention of the named mechanism with rotary positions; only Super is sized by `length`."""
    cls = mechanism_class(name)
    rotary = type(f"Rotary{cls.__name__}", (Rotary, cls), {"base": base})
    options = {"length": length} if name == "super" else {}
    layer: Attention = rotary(width=width, heads=heads, pattern="causal_self", bias=bias, **options)
    return layer


def state_bytes(state: Any) -> int:
    """Bytes that a state of `step` holds: every storage once, however many tensors share it."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in _tensors(state)}
    return sum(storages.values())


def _tensors(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    return [tensor for part in state for tensor in _tensors(part)]
