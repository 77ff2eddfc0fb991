"""Derivatives beyond the first backward pass: second ones, forward-mode ones, and those of `torch.func`.

A `torch.autograd.Function` whose backward pass is written by hand is differentiable once. When differentiated again,
torch treats that pass as a constant, and reports this only if the incoming gradient itself requires a gradient: a
penalty on a gradient would be silently wrong. So a backward pass that is to be differentiated computes the same by
differentiable operations (`differentiable_gradients`).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel


def wants_second() -> bool:
    """Inside a backward pass: is it itself to be differentiated (`create_graph=True`)?"""
    return torch.is_grad_enabled() and not torch.compiler.is_compiling()


def differentiable_gradients(
    function: Callable[..., Tensor], inputs: tuple[Tensor, ...], grad: Tensor
) -> tuple[Tensor | None, ...]:
    """The gradients of `function(*inputs)` with respect to its inputs, as a part of the graph.

    Args:
        function: The same as the forward pass, by differentiable operations.
        inputs: What it was given.
        grad: The gradient to its output.

    Returns:
        One for each input, None for one that needs no gradient.
    """
    needed = [x for x in inputs if x.requires_grad]
    # Of views, so that the inputs' own histories are left to the outer pass.
    views = iter([x.view_as(x) for x in needed])
    given = [next(views) if x.requires_grad else x for x in inputs]
    out = function(*given)
    gradients = iter(torch.autograd.grad(out, [x for x in given if x.requires_grad], grad, create_graph=True))
    return tuple(next(gradients) if x.requires_grad else None for x in inputs)


def can_branch() -> bool:
    """May Python branch on a tensor's value? Not while compiling, and not under the transforms of `torch.func`."""
    return not (torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active())


def refuse_transforms(what: str) -> None:
    """Raises RuntimeError under `torch.func`'s transforms and in forward mode, for code that needs concrete values."""
    if not torch.compiler.is_compiling() and (torch._C._are_functorch_transforms_active() or in_forward_mode()):
        raise RuntimeError(
            f"{what} does not run under torch.func (vmap, grad, jvp, …) nor in forward-mode differentiation: it sorts tokens and"
            " has a backward pass of its own; call it on whole batches, and .backward() or torch.autograd.grad"
        )


def in_forward_mode() -> bool:
    """Is forward-mode differentiation on (`torch.func.jvp`, `torch.autograd.forward_ad`)?"""
    return not torch.compiler.is_compiling() and forward_ad._current_level >= 0


def fused_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """`F.scaled_dot_product_attention`; in forward mode by its plain form, as the fused kernels have no such derivative."""
    if in_forward_mode():
        with sdpa_kernel(SDPBackend.MATH):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask, is_causal=is_causal, scale=scale)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask, is_causal=is_causal, scale=scale)
