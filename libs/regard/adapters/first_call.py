"""Models of transformers that are told to run "regard-…": refused if they cannot, and checked at their first call.

transformers accepts any registered name for any model, and a model with its own attention code would silently go on
running that code, or run without its mask. `guard` makes transformers' two entry points ask here first:
`PreTrainedModel.get_correct_attn_implementation` (`from_pretrained`, a constructor, `set_attn_implementation`) and
`set_attn_implementation`.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from regard.observers import HUGGINGFACE

CHECK = "regard_first_call"  # the attribute of a model that waits for its first call: the handle of its hook
_proving = False


def guard() -> None:
    """Make transformers ask here before a model runs one of Regard's implementations. A second call changes nothing."""
    from transformers import PreTrainedModel

    if getattr(PreTrainedModel.set_attn_implementation, "regard", False):
        return
    correct, assign = PreTrainedModel.get_correct_attn_implementation, PreTrainedModel.set_attn_implementation

    @functools.wraps(correct)
    def get_correct(self: Any, requested_attention: str | None, *rest: Any, **more: Any) -> Any:
        if ours(requested_attention):
            check_class(self)
            arm(self)
        return correct(self, requested_attention, *rest, **more)

    @functools.wraps(assign)
    def set_implementation(self: Any, attn_implementation: Any, *rest: Any, **more: Any) -> Any:
        if ours(attn_implementation):
            parts = [part for part in self.modules() if isinstance(part, PreTrainedModel)]
            for part in parts:
                check_class(part)
            arm(self)
        return assign(self, attn_implementation, *rest, **more)

    set_implementation.regard = True  # type: ignore[attr-defined]
    for name, door in (
        ("get_correct_attn_implementation", get_correct),
        ("set_attn_implementation", set_implementation),
    ):
        setattr(PreTrainedModel, name, door)


def ours(implementation: Any) -> bool:
    """Is this the name of one of Regard's implementations?"""
    return isinstance(implementation, str) and implementation.startswith(HUGGINGFACE)


def check_class(model: Any) -> None:
    """Raises ValueError for a model whose file has attention code that does not get its function from transformers."""
    if not model._can_set_attn_implementation():
        raise ValueError(
            f"{type(model).__name__} does not go through transformers' attention interface: its attention is code of its own, so"
            " that it would run on as it is. regard.swap(model) can still reach attention that calls torch's"
        )


def arm(model: nn.Module) -> None:
    """Arrange for the model to be proven before its next call."""
    if CHECK not in vars(model):
        model.__dict__[CHECK] = model.register_forward_pre_hook(before_call, with_kwargs=True)


def disarm(model: nn.Module) -> list[nn.Module]:
    """Cancel the pending proofs of the model and its parts; returns the modules that had one."""
    waiting = [part for part in model.modules() if CHECK in vars(part)]
    for part in waiting:
        part.__dict__.pop(CHECK).remove()
    return waiting


def before_call(model: nn.Module, args: Any, kwargs: Any) -> None:
    """The hook: prove the model, then remove itself. In a graph that is being traced it does nothing."""
    if torch.compiler.is_compiling() or torch._C._is_tracing() or _proving or not provable(model):
        return
    implementation = getattr(getattr(model, "config", None), "_attn_implementation", None)
    waiting = disarm(model)
    if not any(ours(getattr(getattr(part, "config", None), "_attn_implementation", None)) for part in waiting):
        return
    if implementation == HUGGINGFACE + "swap":
        return  # `regard.swap` has proven it
    from regard.adapters.implementations import prove_implementation

    try:
        with proving():
            prove_implementation(model, args, kwargs)
    except BaseException:
        for part in waiting:
            arm(part)
        raise


@contextmanager
def proving() -> Iterator[None]:
    """Within the block models run without a proof."""
    global _proving
    before, _proving = _proving, True
    try:
        yield
    finally:
        _proving = before


def provable(model: nn.Module) -> bool:
    """Are there real numbers to prove it with, i.e. no meta or fake parameters and no tracing mode?"""
    from torch._subclasses import FakeTensor
    from torch.utils._python_dispatch import _get_current_dispatch_mode

    if _get_current_dispatch_mode() is not None:
        return False
    return not any(p.is_meta or isinstance(p, FakeTensor) for p in model.parameters())
