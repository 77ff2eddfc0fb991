"""Draws from a seed: the same numbers in every process, whoever asks for them first.

A draw is kept for later calls, so it must not carry over the context of the first caller: a trace of `torch.export`, a
fake or meta tensor, inference mode, or another default dtype or device. In a compiled or exported graph it is a
constant.
"""

import functools
from collections.abc import Callable, Hashable
from typing import ParamSpec, cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

MOST = 512  # draws that a function keeps
P = ParamSpec("P")


def seeded(draw: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """A function of hashable, positional arguments whose tensor is drawn once for each and kept.

    Args:
        draw: Draws from a generator of its own, in types that it names.

    Returns:
        The function, with `cache_clear` as `functools.lru_cache` has it.
    """
    kept: dict[tuple[Hashable, ...], Tensor] = {}
    aside: dict[tuple[Hashable, ...], Tensor] = {}  # drawn while compiling, which must not change what it has looked at

    def drawn(*arguments: Hashable) -> Tensor:
        if arguments not in aside:
            if len(aside) >= MOST:
                aside.pop(next(iter(aside)))
            with torch.inference_mode(False), _disable_current_modes(), torch.no_grad():
                aside[arguments] = draw(*arguments)  # type: ignore[call-arg, arg-type]
        return aside[arguments]

    constant = torch.compiler.assume_constant_result(drawn)  # type: ignore[no-untyped-call]

    @functools.wraps(draw)
    def known(*arguments: Hashable) -> Tensor:
        if arguments in kept:  # a graph that is being compiled takes it from here as it takes a buffer
            return kept[arguments]
        if torch.compiler.is_dynamo_compiling():
            return cast(Tensor, constant(*arguments))
        if len(kept) >= MOST:
            kept.pop(next(iter(kept)))
        kept[arguments] = drawn(*arguments)
        return kept[arguments]

    def clear() -> None:
        kept.clear()
        aside.clear()

    known.cache_clear = clear  # type: ignore[attr-defined]
    return cast(Callable[P, Tensor], known)
