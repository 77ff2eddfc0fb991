"""Mechanisms that choose the types of their products themselves keep them under autocast, which would otherwise turn float32 back to half precision.

An exponential of a score of 10 is off by 4 % when the score is rounded to bfloat16.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from regard.layer import autocast

Function = TypeVar("Function", bound=Callable[..., Tensor])


def keeps_types(function: Function) -> Function:
    """The function of q and more, with autocast off while it runs; its inputs may well be in half precision."""

    @functools.wraps(function)
    def without_autocast(q: Tensor, *arguments: Any, **options: Any) -> Tensor:
        if not isinstance(q, Tensor) or not autocast(q.device.type):
            return function(q, *arguments, **options)
        with torch.autocast(q.device.type, enabled=False):
            return function(q, *arguments, **options)

    return cast(Function, without_autocast)
