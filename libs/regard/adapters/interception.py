"""Modules whose calls of `F.scaled_dot_product_attention` go to a mechanism: timm, diffusers, your own blocks, ….

The module keeps its identity, its parameters and its code; its class becomes a subclass whose `forward` runs under a
`TorchFunctionMode`. Copies, saved modules and `torch.compile` know nothing of it.
"""

import functools
import weakref
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from regard.adapters.dispatch import Chosen, capabilities, torch_call
from regard.adapters.masks import Asked, read_mask
from regard.observers import report

PLACED = "regard_swap"


class Intercepting(TorchFunctionMode):
    """While this mode is on, `F.scaled_dot_product_attention` runs the mechanism that the module has been given."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is F.scaled_dot_product_attention:
            return attend(self.module, *args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`F.scaled_dot_product_attention` by the module's mechanism.

    Raises ValueError for dropout, a mask or a bias that the mechanism does not have; softmax leaves them to torch.
    """
    chosen: Chosen = getattr(module, PLACED)
    who = f"{getattr(module, 'regard_name', None) or 'the module'} ({type(module).__name__})"
    across, known_causal = getattr(module, "regard_across", False), getattr(module, "regard_causal", False)
    dense = "dense" in capabilities(chosen.mechanism)

    def own() -> Tensor:
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )

    if dropout_p and dense:
        return own()
    if dropout_p:
        raise ValueError(
            f"{who} asks {chosen.mechanism!r} for an attention dropout of {dropout_p:g}, which mechanisms do not have: set it to 0"
        )
    n, m = query.shape[-2], key.shape[-2]

    def read(mask: Tensor) -> Asked:
        b = query.shape[0] if query.ndim == 4 else query[..., 0, 0].numel() if query.ndim == 3 else 1
        if query.ndim == 3 and mask.ndim == 3:  # (b h) n m, one head each
            mask = mask[:, None]
        return remembered(mask, b, n, m, causal=known_causal and not across)

    if attn_mask is not None and dense and read(attn_mask).other:
        return own()
    if attn_mask is None and not is_causal and known_causal and not across and n != m:
        if n > 1:
            raise ValueError(f"{who} was causal, and calls with {n} queries, {m} keys and no mask")
        is_last = Asked(causal=True)
        attn_mask, read = query.new_zeros(()), lambda mask: is_last  # a step: the last token sees all
    mixed = torch_call(
        chosen, query, key, value, attn_mask, is_causal, scale,
        read=read, who=who, across=across, target_is_causal=getattr(module, "regard_target_is_causal", True),
    )  # fmt: skip
    if mixed.observed and query.ndim == 4:
        report(module, **mixed.observed)
    return mixed.output


_last: list[Any] = [None, None, None]  # a mask, by a weak reference; what it was read with; what it says


def remembered(mask: Tensor, b: int, n: int, m: int, *, causal: bool) -> Asked:
    """`read_mask`, once for all the layers that are handed one mask one after the other."""
    if torch.compiler.is_compiling() or mask.is_inference():  # which does not tell whether it has been written to
        return read_mask(mask, b, n, m, offset=max(0, m - n), causal=causal)
    key = (mask._version, tuple(mask.shape), b, n, m, causal)
    if _last[0] is None or _last[0]() is not mask or _last[1] != key:
        _last[:] = [weakref.ref(mask), key, read_mask(mask, b, n, m, offset=max(0, m - n), causal=causal)]
    return _last[2]  # type: ignore[no-any-return]


_made: dict[Any, type[nn.Module]] = {}


def intercepted(cls: type[nn.Module]) -> type[nn.Module]:
    """The subclass of a module's class whose forward runs under `Intercepting`; one for each class."""
    if cls not in _made:
        _made[cls] = _intercepted(cls)
    return _made[cls]


def _intercepted(cls: type[nn.Module]) -> type[nn.Module]:

    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        with Intercepting(self):
            return cls.forward(self, *args, **kwargs)

    functools.update_wrapper(forward, cls.forward)

    def reduce(self: nn.Module, protocol: Any) -> Any:
        return _new, (cls,), self.__dict__

    made = type(cls.__name__, (cls,), {"forward": forward, "__reduce_ex__": reduce, "regard_intercepts": cls})
    made.__module__, made.__qualname__ = cls.__module__, cls.__qualname__
    return made


def _new(cls: type[nn.Module]) -> nn.Module:
    return intercepted(cls).__new__(intercepted(cls))


def intercept(module: nn.Module) -> None:
    """Route the module's attention to what its `regard_swap` holds."""
    if not hasattr(type(module), "regard_intercepts"):
        module.__class__ = intercepted(type(module))


def release(module: nn.Module) -> None:
    """Give the module its own class again."""
    module.__class__ = getattr(type(module), "regard_intercepts", type(module))
