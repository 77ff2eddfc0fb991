"""Functions that run with autocast disabled, because they choose their own dtypes.

An exponential of a score of 10 is off by 4 % when the score is rounded to bfloat16; autocast would turn float32 back to
half precision.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Tensor])


def autocast_enabled(device_type: str) -> bool:
    """Is autocast on for this type of device?"""
    return torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type)


def without_autocast(device_type: str) -> contextlib.AbstractContextManager[object]:
    """A context in which autocast is off for this type of device."""
    if not torch.amp.is_autocast_available(device_type):
        return contextlib.nullcontext()
    return torch.autocast(device_type, enabled=False)


def disable_autocast(function: Function) -> Function:
    """The function of q and more, with autocast off while it runs; its inputs may be in half precision."""

    @functools.wraps(function)
    def without_autocast(q: Tensor, *arguments: Any, **options: Any) -> Tensor:
        if not isinstance(q, Tensor) or not autocast_enabled(q.device.type):
            return function(q, *arguments, **options)
        with torch.autocast(q.device.type, enabled=False):
            return function(q, *arguments, **options)

    return cast(Function, without_autocast)
