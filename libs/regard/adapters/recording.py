"""Which attentions a model calls and what they ask for, recorded while the model runs once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from regard.adapters.masks import Asked, read_mask


@dataclass
class Heard:
    """What was recorded of one attention: how it is called, and with how many queries and keys.

    Args:
        kind: "interface" (transformers'), "sdpa" (`F.scaled_dot_product_attention`) or "module"
            (`nn.MultiheadAttention`).
        asked: What its calls asked for, where that could be told.
        lengths: Queries and keys of each call.
        inputs: How many different sequences its module was given.
    """

    kind: str
    asked: list[Asked] = field(default_factory=list)
    lengths: list[tuple[int, int]] = field(default_factory=list)
    inputs: int = 1

    @property
    def causal(self) -> bool:
        """Was any call causal?"""
        return any(each.causal for each in self.asked)


class Recorder(TorchFunctionMode):
    """Notes every attention call of a model while it runs under it, by the module that makes it."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: dict[nn.Module, Heard] = {}
        self.prints: dict[nn.Module, tuple[list[float], list[float]]] = {}  # of the queries and keys of each call
        self.stack: list[nn.Module] = []
        self.ran: set[nn.Module] = set()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.stack:
            owner = self.stack[-1]
            if function is F.multi_head_attention_forward:
                q, k = args[0], args[1]
                self.note(owner, "module", q.transpose(0, -2), k.transpose(0, -2), Asked())
                mask = kwargs.get("attn_mask")
                self.heard[owner].asked[-1] = Asked(causal=bool(kwargs.get("is_causal")) or _triangle(mask))
            elif function is F.scaled_dot_product_attention and (
                owner not in self.heard or self.heard[owner].kind == "sdpa"  # else it is what the interface's call does
            ):
                self.note(owner, "sdpa", *_sdpa(*args, **kwargs))
        return function(*args, **kwargs)

    def note(self, owner: nn.Module, kind: str, q: Tensor, k: Tensor, asked: Asked) -> None:
        """One call."""
        heard = self.heard.setdefault(owner, Heard(kind))
        heard.asked.append(asked)
        heard.lengths.append((q.shape[-2], k.shape[-2]))
        of_q, of_k = self.prints.setdefault(owner, ([], []))
        of_q.append(_print(q))
        of_k.append(_print(k))


def _print(x: Tensor) -> float:
    """A number that changes if x or the order of its rows changes."""
    flat = x.detach().double().nan_to_num().flatten()
    return float(flat @ torch.linspace(1, 2, flat.numel(), dtype=torch.float64, device=flat.device))


_recorders: list[Recorder] = []


def _triangle(mask: Any) -> bool:
    return (
        isinstance(mask, Tensor)
        and mask.ndim == 2
        and mask.shape[0] == mask.shape[1] > 1
        and bool(
            ((mask if mask.dtype == torch.bool else mask != 0) == torch.ones_like(mask, dtype=torch.bool).triu(1)).all()
        )
    )


def _sdpa(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, *rest: Any, **more: Any) -> Any:
    is_causal = bool(more.get("is_causal", rest[1] if len(rest) > 1 else False))
    if is_causal or attn_mask is None or q.ndim != 4:
        return q, k, Asked(causal=is_causal)
    n, m = q.shape[-2], k.shape[-2]
    return q, k, read_mask(attn_mask, q.shape[0], n, m, offset=max(0, m - n))


def note(module: nn.Module, kind: str, q: Tensor, k: Tensor, *, asked: Callable[[], Asked]) -> None:
    """Tell a recorder, if one is running, of a call through transformers' interface."""
    if torch.compiler.is_compiling() or not _recorders:
        return
    try:
        known = asked()
    except ValueError as error:
        known = Asked(other=str(error))
    _recorders[-1].note(module, kind, q, k, known)


@contextmanager
def recorded(model: nn.Module) -> Iterator[Recorder]:
    """Within the block the calls of the model's attentions are recorded."""
    recorder = Recorder()
    handles = []

    def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
        recorder.stack.append(module)
        recorder.ran.add(module)
        named = [*args, *(x for name, x in kwargs.items() if not any(word in name for word in ("mask", "bias", "pos")))]
        given = [x for x in named if isinstance(x, Tensor) and x.ndim >= 3 and x.is_floating_point()]
        inputs[module] = len({id(x) for x in given if x.ndim == given[0].ndim and x.shape[0] == given[0].shape[0]})

    def leave(module: nn.Module, *call: Any) -> None:
        recorder.stack.pop()
        if module in recorder.heard:
            recorder.heard[module].inputs = max(recorder.heard[module].inputs, inputs.get(module, 1))

    inputs: dict[nn.Module, int] = {}
    for module in model.modules():
        handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(module.register_forward_hook(leave, always_call=True))
    _recorders.append(recorder)
    try:
        with recorder:
            yield recorder
    finally:
        _recorders.pop()
        for handle in handles:
            handle.remove()
