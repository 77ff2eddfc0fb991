"""Argument checks, made once before any work, with the numbers in the message."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

Variant = Literal["paper", "released"]  # the paper's definition, or what the authors' code computes in its place
VARIANTS: tuple[Variant, ...] = get_args(Variant)
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
MOST_SEED = 2**49  # a layer's own seed is ten thousand times as large, which a generator of torch still takes


def check_heads(
    q: Tensor, k: Tensor, v: Tensor, *, key_mask: Tensor | None = None, self_attention: bool = False
) -> None:
    """Check split heads.

    q `(b, h, n, d)`, k `(b, h, m, d)`, v `(b, h, m, e)`, of one of `FLOATS` and on one device; `self_attention`
    requires n = m too.

    b, n and m may be 0: a query without keys gets 0. h, d and e may not. Raises ValueError for shapes and devices,
    TypeError for types.
    """
    check_flag(self_attention, "causal")
    if not (isinstance(q, Tensor) and isinstance(k, Tensor) and isinstance(v, Tensor)):
        raise TypeError(f"q, k and v must be tensors, got {', '.join(type(x).__name__ for x in (q, k, v))}")
    shapes = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
    if not q.ndim == k.ndim == v.ndim == 4:
        raise ValueError(f"q, k and v must be (batch, heads, length, head width), got {shapes}")
    if q.dtype not in FLOATS or not q.dtype == k.dtype == v.dtype:
        raise TypeError(f"q, k and v must be floating point and of one type, got {q.dtype}, {k.dtype} and {v.dtype}")
    if not q.device == k.device == v.device:
        raise ValueError(f"q, k and v must be on one device, got {q.device}, {k.device} and {v.device}")
    if not q.shape[:2] == k.shape[:2] == v.shape[:2]:
        raise ValueError(f"q, k and v must have one batch size and one number of heads, got {shapes}")
    if q.shape[3] != k.shape[3]:
        raise ValueError(f"q and k must have one head width, got {q.shape[3]} and {k.shape[3]} ({shapes})")
    if k.shape[2] != v.shape[2]:
        raise ValueError(f"k and v must have one length, got {k.shape[2]} and {v.shape[2]} ({shapes})")
    if 0 in (q.shape[1], q.shape[3], v.shape[3]):
        raise ValueError(f"q, k and v must have at least one head and a head width of at least 1, got {shapes}")
    if self_attention and q.shape[2] != k.shape[2]:
        raise ValueError(
            f"self attention needs as many queries as keys, got n = {q.shape[2]} and m = {k.shape[2]} ({shapes})"
        )
    check_mask(key_mask, k.shape[0], k.shape[2], "key_mask", k.device)


def check_mask(mask: Tensor | None, batch: int, length: int, name: str, device: torch.device | None = None) -> None:
    """Check a mask: a boolean tensor `(batch, length)`, True = keep, on `device` if one is given.

    Raises TypeError or ValueError with the numbers.
    """
    if mask is None:
        return
    if not isinstance(mask, Tensor):
        raise TypeError(f"{name} must be a boolean tensor (True = keep) or None, got a {type(mask).__name__}")
    if mask.dtype != torch.bool:
        raise TypeError(f"{name} must be boolean (True = keep), got {mask.dtype}")
    if mask.shape != (batch, length):
        raise ValueError(f"{name} must be (batch, length) = ({batch}, {length}), got {tuple(mask.shape)}")
    if device is not None and mask.device != device:
        raise ValueError(f"{name} must be on the device of what it masks, {device}, got {mask.device}")


def check_tensor(x: Tensor, name: str, device: torch.device | None = None) -> None:
    """`x` must be a floating point tensor, on `device` if one is given: raises TypeError or ValueError."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a tensor, got a {type(x).__name__}")
    if x.dtype not in FLOATS:
        raise TypeError(f"{name} must be floating point, got {x.dtype}")
    if device is not None and x.device != device:
        raise ValueError(f"{name} must be on the device of what it meets, {device}, got {x.device}")


def check_choice(value: str, choices: tuple[str, ...], name: str) -> None:
    """Raises ValueError when `value` is none of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def check_count(value: int, least: int, name: str) -> None:
    """`value` must be an integer of at least `least`: raises TypeError or ValueError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def check_seed(seed: int) -> None:
    """`seed` must be an integer that torch's generators take, with room for one seed per layer: raises TypeError or ValueError."""
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed must be an integer, got {seed!r}")
    if not abs(seed) <= MOST_SEED:
        raise ValueError(f"seed must be between −{MOST_SEED:,} and {MOST_SEED:,}, got {seed:,}")


def check_module(model: nn.Module) -> None:
    """Raises TypeError for what is no `torch.nn.Module`."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {model!r:.80}")


def check_flag(value: bool, name: str) -> None:
    """Raises TypeError when `value` is neither True nor False: the string "False" is true to Python."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")


def check_number(value: float, name: str) -> None:
    """`value` must be a finite number, whole or not: raises TypeError or ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")


def check_scale(scale: float | None) -> None:
    """`scale` multiplies q · k: a finite number, or None for d ** -0.5. Raises TypeError or ValueError."""
    if scale is not None:
        check_number(scale, "scale")
