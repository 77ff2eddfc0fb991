"""The noncausal form, some heads at a time, so that intermediate results stay in the processor's cache.

    φ(x) = E(x) + ε        E(x) = exp(W x̂ − ‖x̂‖² / 2 − top)        (f^(-1/2) cancels)
    S = Σ_j E(k_j) v_jᵀ + ε Σ_j v_j        z = Σ_j E(k_j) + ε m
    out_i = (E(q_i)ᵀ S + ε Σ_f S_f) / (E(q_i)ᵀ z + ε Σ_f z_f)

ε is added to products of the features, never to the features themselves, which saves n · f additions. E is kept for the
backward pass. Without ε `top` cancels and has no gradient; with ε it has one.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from regard.common.derivatives import differentiable_gradients, wants_second
from regard.common.threads import share_out

PART_FEATURES = 2**19  # features of heads that are in memory at one time, per thread


def mixed(q: Tensor, k: Tensor, v: Tensor, W: Tensor, key_mask: Tensor | None, epsilon: float, floor: float) -> Tensor:
    """All heads at once, by differentiable operations.

    Args:
        q: Queries `(b, h, n, d)`, float32 or wider like the others.
        k: Keys `(b, h, m, d)`, 0 where masked.
        v: Values `(b, h, m, e)`, 0 where masked.
        W: `(b, h, f, d)`, d^(-1/4) times the projection.
        key_mask: `(b, m)`, True = keep, or `None`.
        epsilon: ε.
        floor: The smallest value that a denominator may have.

    Returns:
        `(b, h, n, e)`.
    """
    E_q, E_k = features(q, W, None, epsilon, whole=False), features(k, W, key_mask, epsilon, whole=True)
    S, z = summed_keys(E_k, v, key_mask, epsilon)
    summed, total = E_q @ S, E_q @ z
    if epsilon:
        summed, total = summed + epsilon * S.sum(-2, keepdim=True), total + epsilon * z.sum(-2, keepdim=True)
    return torch.mul(summed, _positive(total, floor).reciprocal())


def mixed_by_heads(
    q: Tensor, k: Tensor, v: Tensor, W: Tensor, key_mask: Tensor | None, epsilon: float, floor: float
) -> Tensor:
    """`mixed` on CPU, some heads at a time; q, k and v may be in half precision."""
    out: Tensor = _ByHeads.apply(q, k, v, W, key_mask, epsilon, floor)  # type: ignore[no-untyped-call]
    return out


def features(x: Tensor, W: Tensor, mask: Tensor | None, epsilon: float, *, whole: bool) -> Tensor:
    """E(x) `(b, h, n, f)`, 0 where masked; `top` is that of each row, or of the whole head."""
    along, half = x @ W.mT, _half_square(x)
    log = along if epsilon else along - half  # what `top` is taken of
    if mask is not None:
        log = log.masked_fill(~mask[:, None, :, None], -torch.inf)
    top = _top(log, whole)
    return torch.exp(log - (top + half) if epsilon else log - top.detach())


def _half_square(x: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return torch.mul(norm.square(), 0.5 * x.shape[-1] ** -0.5)


def _top(log: Tensor, whole: bool) -> Tensor:
    return log.amax((-2, -1) if whole else -1, keepdim=True).clamp(min=torch.finfo(log.dtype).min)


def summed_keys(E: Tensor, v: Tensor, mask: Tensor | None, epsilon: float) -> tuple[Tensor, Tensor]:
    """S `(b, h, f, e)` and z `(b, h, f, 1)`."""
    S, z = E.mT @ v, E.sum(-2)[..., None]
    if not epsilon:
        return S, z
    real = v.shape[2] if mask is None else mask.sum(1)[:, None, None, None]
    return S + epsilon * v.sum(-2, keepdim=True), z + epsilon * real


def _positive(total: Tensor, floor: float) -> Tensor:
    """Denominators; 1 for queries that see nothing."""
    return total.clamp(min=floor) if floor else total.masked_fill(total == 0, 1)


class _ByHeads(torch.autograd.Function):
    """S and z, and outputs and denominators, are one product each: `Sz` is `(b, h, f, e + 1)`."""

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        W: Tensor,
        key_mask: Tensor | None,
        epsilon: float,
        floor: float,
    ) -> Tensor:
        (b, h, n, _), m, f, e = q.shape, k.shape[2], W.shape[2], v.shape[3]
        out, Sz = _empty(q, e, v.dtype), W.new_empty(b, h, f, e + 1)
        size = max(1, PART_FEATURES // (max(n, m) * f))
        needed = any(ctx.needs_input_grad)
        kept_q, kept_k, total = (W.new_empty(b, h, *rest) if needed else None for rest in ((n, f), (m, f), (n, 1)))
        highest = torch.empty(b, h, dtype=torch.long) if needed else None

        def work(units: slice) -> None:
            memory = W.new_empty(min(size, h) * max(n, m) * f)
            other = W.new_empty(min(size, h) * n * (e + 1))
            for at, mask in _heads(units, h, size, key_mask):
                keys, values, rows = (x[at].to(W.dtype) for x in (k, v, W))
                E, key = _features(keys, rows, mask, epsilon, True, memory if kept_k is None else kept_k[at])
                if highest is not None:
                    highest[at] = key
                Sz[at][..., :-1], Sz[at][..., -1:] = summed_keys(E, values, mask, epsilon)
                E, _ = _features(
                    q[at].to(W.dtype), rows, None, epsilon, False, memory if kept_q is None else kept_q[at]
                )
                both = _product(E, Sz[at], other)
                if epsilon:
                    both += epsilon * Sz[at].sum(-2, keepdim=True)
                if total is not None:
                    total[at] = both[..., -1:]
                share = _positive(both[..., -1:], floor).reciprocal()
                if out.dtype == W.dtype:
                    torch.mul(both[..., :-1], share, out=out[at])
                else:
                    out[at] = both[..., :-1] * share

        share_out(b * h, work, q, k, v)
        ctx.save_for_backward(q, k, v, W, kept_q, kept_k, total, highest, Sz, out, key_mask)
        ctx.options = (epsilon, floor, size)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if not wants_second():
            return _ByHeads._gradients(ctx, grad)
        q, k, v, W, *_, key_mask = ctx.saved_tensors
        epsilon, floor, _ = ctx.options

        def plain(q: Tensor, k: Tensor, v: Tensor, W: Tensor) -> Tensor:
            return mixed(q.to(W.dtype), k.to(W.dtype), v.to(W.dtype), W, key_mask, epsilon, floor).to(v.dtype)

        return *differentiable_gradients(plain, (q, k, v, W), grad), None, None, None

    @staticmethod
    @once_differentiable
    def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, W, kept_q, kept_k, total, highest, Sz, out, _ = ctx.saved_tensors
        epsilon, floor, size = ctx.options
        (b, h, n, d), m, f, e = q.shape, k.shape[2], W.shape[2], v.shape[3]
        grad_q, grad_k, grad_v = (_empty(x, x.shape[3], x.dtype) for x in (q, k, v))
        grad_W = torch.zeros_like(W) if ctx.needs_input_grad[3] else None

        def work(units: slice) -> None:
            memory = W.new_empty(min(size, h) * max(n, m) * f)
            other = W.new_empty(min(size, h) * n * (e + 1))

            def to_input(grad: Tensor, share: Tensor, summed: Tensor, x: Tensor, rows: Tensor, at: Any) -> None:
                """The gradient to x, from that to the exponents, whose sums ‖x̂‖² / 2 has with a minus."""
                if grad_W is not None:
                    grad_W[at] += share.mT @ x
                grad[at] = (share @ rows).addcmul_(x, summed, value=-(d**-0.5))

            for at, _ in _heads(units, h, size, None):
                queries, keys, values, rows, result, own = (x[at].to(W.dtype) for x in (q, k, v, W, out, grad))
                E, below = kept_q[at], total[at]
                both = other[: E.shape[1] * n * (e + 1)].view(1, -1, n, e + 1)
                torch.mul(own, _positive(below, floor).reciprocal(), out=both[..., :-1])
                to_total = (both[..., :-1] * result).sum(-1, keepdim=True).neg_()
                both[..., -1:] = to_total.masked_fill_(below <= floor if floor else below == 0, 0)
                to_Sz = E.mT @ both
                if epsilon:
                    to_Sz += epsilon * both.sum(-2, keepdim=True)
                share = _product(both, Sz[at].mT, memory).mul_(E)
                summed = share.sum(-1, keepdim=True)
                if epsilon:  # the largest feature of a row is the one with the largest exponent
                    largest = (E.amax(-1, keepdim=True) == E).to(E.dtype)
                    share.addcmul_(largest, summed / largest.sum(-1, keepdim=True), value=-1)
                to_input(grad_q, share, summed, queries, rows, at)

                E, to_S = kept_k[at], to_Sz[..., :-1].contiguous()
                to_v = E @ to_S
                if epsilon:
                    to_v += epsilon * to_S.sum(-2, keepdim=True)
                grad_v[at] = to_v
                share = _product(values, to_S.mT, memory).add_(to_Sz[..., -1:].mT).mul_(E)
                summed = share.sum(-1, keepdim=True)
                if epsilon:
                    row = highest[at][..., None, None].expand(-1, -1, 1, f)
                    feature = E.gather(2, row).argmax(-1)
                    place = highest[at][..., None] * f + feature
                    share.flatten(2).scatter_add_(2, place, -summed.sum(-2))
                to_input(grad_k, share, summed, keys, rows, at)

        share_out(b * h, work, q, k, v)
        return grad_q, grad_k, grad_v, grad_W, None, None, None


def _features(
    x: Tensor, W: Tensor, mask: Tensor | None, epsilon: float, whole: bool, memory: Tensor
) -> tuple[Tensor, Tensor]:
    """`features` in memory that is given, and the row of the largest exponent of each head `(b, h)`, if `whole`."""
    log, half = _product(x, W.mT, memory), _half_square(x)
    if not epsilon:
        log -= half
    if mask is not None:
        log.masked_fill_(~mask[:, None, :, None], -torch.inf)
    top = log.amax(-1, keepdim=True).clamp_(min=torch.finfo(log.dtype).min)
    row = top
    if whole:
        row = top.argmax(-2)[..., 0]
        top = top.amax(-2, keepdim=True)
    log -= top + half if epsilon else top
    return log.exp_(), row


def _product(x: Tensor, y: Tensor, memory: Tensor) -> Tensor:
    """x (1, g, n, ·) times y (1, g, ·, f), in memory that is given: of that shape, or flat and large enough."""
    if memory.ndim == 1:
        memory = memory[: x.shape[1] * x.shape[2] * y.shape[3]].view(1, *x.shape[1:3], y.shape[3])
    return torch.bmm(x[0], y[0], out=memory[0])[None]


def _empty(x: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """An empty tensor (b, h, n, width), its heads where those of x are in memory."""
    b, h, n, _ = x.shape
    if x.is_contiguous():
        return x.new_empty(b, h, n, width, dtype=dtype)
    return x.new_empty(b, n, h, width, dtype=dtype).transpose(1, 2)


def _heads(
    units: slice, h: int, size: int, key_mask: Tensor | None
) -> Iterator[tuple[tuple[slice, slice], Tensor | None]]:
    """Some of the b · h heads, at most `size` of one batch row each time: where they are, and the mask of their row."""
    unit = units.start
    while unit < units.stop:
        row, head = divmod(unit, h)
        end = min(head + size, h, head + units.stop - unit)
        at = (slice(row, row + 1), slice(head, end))
        yield at, None if key_mask is None else key_mask[at[0]]
        unit += end - head
