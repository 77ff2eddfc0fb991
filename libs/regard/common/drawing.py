"""What is drawn from a seed: the same numbers in every process, whoever asks first.

A draw is kept for later calls, so that it must not carry what the first caller was doing: a trace of `torch.export`, a
fake or meta tensor, inference mode, another default type or device. In a compiled or exported graph it is a constant.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

P = ParamSpec("P")


def seeded(draw: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """A function of hashable arguments whose tensor is drawn once for each and kept.

    Args:
        draw: Draws from a generator of its own, in types that it names.

    Returns:
        The function, with `cache_clear` as `functools.lru_cache` has it.
    """

    @functools.lru_cache(maxsize=512)
    def kept(*arguments: Any, **options: Any) -> Tensor:
        with torch.inference_mode(False), _disable_current_modes(), torch.no_grad():
            return draw(*arguments, **options)

    @functools.wraps(draw)
    def constant(*arguments: Any, **options: Any) -> Tensor:
        return kept(*arguments, **options)

    constant.cache_clear = kept.cache_clear  # type: ignore[attr-defined]
    return cast(Callable[P, Tensor], torch.compiler.assume_constant_result(constant))  # type: ignore[no-untyped-call]
