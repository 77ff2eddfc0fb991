"""Local attention on CPU: blocks of queries against the block and its margins, by products of views.

A sequence is cut into blocks of B tokens. The keys that a block's queries can see lie in the block, in ⌈before / B⌉
blocks before it and in ⌈after / B⌉ blocks after it: W blocks that are one after the other in memory, so that the
windows of all blocks are a view of the keys, overlapping, and one batched product gives the scores of many blocks. Some
blocks are done at a time: their scores stay in the cache, and no others are ever in memory. The backward pass computes
them again, which costs less than reading them back.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.attention import SDPBackend, sdpa_kernel

from regard.common.derivatives import differentiable_gradients, wants_second
from regard.common.nonfinite import any_in_window
from regard.common.threads import share_out
from regard.mechanisms.local.blocks import blocks

PART_SCORES = 2**17  # scores that are in memory at one time, per thread: they and their rows fit into a core's cache


def bands(
    q: Tensor, k: Tensor, v: Tensor, before: int, after: int, key_mask: Tensor | None, scale: float
) -> Tensor | None:
    """Local attention of finite inputs, keys i − before … i + after for query i. Its second derivative
    is that of `blocks`.

    q, k `(b, h, n, d)`, v `(b, h, n, e)`, `key_mask` `(b, n)` or `None`, n ≥ 1 -> `(b, h, n, e)`; a query that may see
    no key gets 0. `None` if an input may not be finite, i.e. its sum is not finite. Checking this costs nothing,
    because rows that have just been read are in the cache when they are multiplied.
    """
    n = q.shape[2]
    block = block_size(n, max(before, after))
    if n % block:
        real = torch.ones(1, n, dtype=torch.bool) if key_mask is None else key_mask
        key_mask = F.pad(real, (0, -n % block)).expand(q.shape[0], -1)
        q, k, v = (F.pad(x, (0, 0, 0, -n % block)) for x in (q, k, v))
    out, total = _Bands.apply(q, k, v, before, after, key_mask, scale, block)  # type: ignore[no-untyped-call]
    if not math.isfinite(total.item()):
        return None
    return out if out.shape[2] == n else out[:, :, :n]  # type: ignore[no-any-return]


def block_size(n: int, reach: int) -> int:
    """Tokens per block: about half of what a window reaches, and a divisor of n if there is one near that."""
    best = min(max(16, reach // 2 // 16 * 16), 64)
    near = (best, *(size for step in range(1, best // 4 + 1) for size in (best + step, best - step)))
    return next((size for size in near if n % size == 0), best)


class Part(NamedTuple):
    """Blocks `first` … `end` - 1 of sequences that are one after the other in memory.

    They are either whole sequences or blocks of a single one. `at` are the rows of the queries, `rows` those of the
    blocks that their windows cover, some of which may lie before the first row or after the last.
    """

    group: int
    sequences: slice
    first: int
    end: int
    at: slice
    rows: slice


class _Bands(torch.autograd.Function):
    """Local attention of whole blocks."""

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        before: int,
        after: int,
        key_mask: Tensor | None,
        scale: float,
        block: int,
    ) -> tuple[Tensor, Tensor]:
        plan = _Plan(q, k, v, before, after, key_mask, scale, block)
        out, rows_out = plan.new_like(q, v.shape[3])
        sums: list[Tensor] = []

        def work(units: slice) -> None:
            for part in plan.parts(units):
                sums.extend(x[part.group, part.at].sum(dtype=plan.wide) for x in (plan.q, plan.k, plan.v))
                _, _, values, weights = plan.weights(part)
                into = rows_out[part.group, part.at].view(-1, block, v.shape[3])
                if out.dtype == weights.dtype:
                    torch.bmm(weights, values, out=into)
                else:
                    into.copy_(torch.bmm(weights, values))

        share_out(plan.units, work, q, k, v)
        if plan.blind is not None:
            out.masked_fill_(plan.blind, 0)
        ctx.save_for_backward(q, k, v, key_mask)
        ctx.options = (before, after, scale, block)
        total = torch.stack(sums).sum()
        ctx.mark_non_differentiable(total)
        return out, total

    @staticmethod
    def backward(ctx: Any, grad: Tensor, total: Tensor) -> tuple[Tensor | None, ...]:
        if not wants_second():
            return _Bands._gradients(ctx, grad)
        q, k, v, key_mask = ctx.saved_tensors
        before, after, scale, _ = ctx.options

        def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            with sdpa_kernel(SDPBackend.MATH):
                return blocks(q, k, v, before, after, key_mask, scale)

        return *differentiable_gradients(plain, (q, k, v), grad), *(None,) * 5

    @staticmethod
    @once_differentiable
    def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, key_mask = ctx.saved_tensors
        before, after, scale, block = ctx.options
        plan = _Plan(q, k, v, before, after, key_mask, scale, block)
        if plan.blind is not None:
            grad = grad.masked_fill(plan.blind, 0)
        rows_grad = plan.rows_of(grad)
        (grad_q, rows_q), (grad_k, rows_k), (grad_v, rows_v) = (
            plan.new_like(q, x.shape[3], torch.promote_types(x.dtype, torch.float32)) for x in (q, k, v)
        )
        for x in (grad_k, grad_v):
            x.zero_()

        def work(units: slice) -> None:
            for part in plan.parts(units):
                queries, keys, values, weights = plan.weights(part)
                own = rows_grad[part.group, part.at].view(-1, block, v.shape[3]).to(weights.dtype)
                plan.add_windows(rows_v, part, torch.bmm(weights.mT, own))
                shares = torch.bmm(own, values.mT)
                scores = torch._softmax_backward_data(shares, weights, -1, weights.dtype)
                into = rows_q[part.group, part.at].view(-1, block, q.shape[3])
                torch.bmm(scores, keys, out=into).mul_(scale)
                plan.add_windows(rows_k, part, torch.bmm(scores.mT, queries).mul_(scale))

        share_out(plan.units, work, q, k, v)
        return grad_q.to(q.dtype), grad_k.to(k.dtype), grad_v.to(v.dtype), *(None,) * 5


class _Plan:
    """How a call is divided: groups of sequences whose rows are equally spaced in memory, and parts of those groups."""

    def __init__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        before: int,
        after: int,
        key_mask: Tensor | None,
        scale: float,
        block: int,
    ) -> None:
        b, h, n, _ = q.shape
        self.b, self.h, self.n, self.block, self.scale = b, h, n, block, scale
        self.wide = torch.promote_types(q.dtype, torch.float32)
        self.blocks, self.earlier, self.later = n // block, -(-before // block), -(-after // block)
        self.width = (self.earlier + 1 + self.later) * block
        # Layers hand over heads that lie beside each other in memory: then each head is a group, its rows h · d apart.
        self.by_token = not q.is_contiguous() and all(_rows_by_head(x) for x in (q, k, v))
        self.groups, self.sequences = (h, b) if self.by_token else (1, b * h)
        self.units = b * h
        self.q, self.k, self.v = (self.rows_of(x) for x in (q, k, v))
        place = torch.arange(self.width) - self.earlier * block
        ahead = place - torch.arange(block)[:, None]
        self.lowest = torch.finfo(self.wide).min / 2  # finite: a row that sees nothing must not become NaN
        outside = (ahead < -before) | (ahead > after)
        self.bias = torch.zeros(block, self.width, dtype=self.wide).masked_fill_(outside, self.lowest)
        self.dropped = self.blind = None
        if key_mask is not None:
            seen = key_mask if self.by_token else key_mask.repeat_interleave(h, 0)
            margins = F.pad(~seen, (self.earlier * block, self.later * block))
            self.dropped = margins.unfold(1, self.width, block)  # sequences blocks width
            self.blind = ~any_in_window(key_mask[:, None, :, None], before, after)

    def rows_of(self, x: Tensor) -> Tensor:
        """x (b, h, n, ·) as (groups, rows, ·), rows in the order of memory."""
        if not self.by_token:
            return x.reshape(1, -1, x.shape[3])
        if not _rows_by_head(x):
            x = x.transpose(1, 2).contiguous().transpose(1, 2)
        return x.as_strided((self.h, self.b * self.n, x.shape[3]), (x.stride(1), x.stride(2), 1))

    def new_like(self, x: Tensor, width: int, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
        """An empty tensor (b, h, n, width), heads beside each other where those of the inputs are, and its rows."""
        dtype = dtype or x.dtype
        if self.by_token:
            new = x.new_empty(self.b, self.n, self.h, width, dtype=dtype).transpose(1, 2)
        else:
            new = x.new_empty(self.b, self.h, self.n, width, dtype=dtype)
        return new, self.rows_of(new)

    def parts(self, units: slice) -> Iterator[Part]:
        """The parts of some of the sequences, counted through the groups."""
        size = max(1, PART_SCORES // (self.block * self.width))  # blocks
        whole = max(1, size // self.blocks)  # sequences
        step = self.blocks if size >= self.blocks else size
        unit = units.start
        while unit < units.stop:
            group, sequence = divmod(unit, self.sequences)
            end = min(sequence + whole, self.sequences, sequence + units.stop - unit)
            for first in range(0, self.blocks, step):
                last = min(first + step, self.blocks)
                begin, stop = sequence * self.blocks + first, (end - 1) * self.blocks + last
                at = slice(begin * self.block, stop * self.block)
                rows = slice((begin - self.earlier) * self.block, (stop + self.later) * self.block)
                yield Part(group, slice(sequence, end), first, last, at, rows)
            unit += end - sequence

    def weights(self, part: Part) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries (blocks, B, d), keys and values of their windows (blocks, W B, ·), and weights (blocks, B, W B)."""
        queries = self.q[part.group, part.at].view(-1, self.block, self.q.shape[2]).to(self.wide)
        keys, values = (self._windows(x[part.group], part.rows) for x in (self.k, self.v))
        scores = torch.baddbmm(self.bias, queries, keys.mT, alpha=self.scale)
        by_sequence = scores.view(-1, part.end - part.first, self.block, self.width)
        if self.dropped is not None:
            dropped = self.dropped[part.sequences, part.first : part.end, None]
            by_sequence.masked_fill_(dropped, self.lowest)
        for distance in range(self.earlier):  # in block `distance`, windows begin before the sequence
            if part.first <= distance < part.end:
                keys_before = (self.earlier - distance) * self.block
                by_sequence[:, distance - part.first, :, :keys_before] = self.lowest
        for distance in range(self.later):
            if part.first <= self.blocks - 1 - distance < part.end:
                keys_after = (self.later - distance) * self.block
                by_sequence[:, self.blocks - 1 - distance - part.first, :, -keys_after:] = self.lowest
        return queries, keys, values, torch.softmax(scores, -1)

    def _windows(self, x: Tensor, rows: slice) -> Tensor:
        """Overlapping windows of rows, a view (blocks, W B, ·) wherever all of the rows exist."""
        inside = x[max(rows.start, 0) : min(rows.stop, len(x))].to(self.wide)
        margins = (max(-rows.start, 0), max(rows.stop - len(x), 0))
        if any(margins):
            inside = F.pad(inside, (0, 0, *margins))
        return inside.unfold(0, self.width, self.block).mT

    def add_windows(self, rows: Tensor, part: Part, shares: Tensor) -> None:
        """Add what windows (blocks, W B, ·) give to the rows that they cover in their own sequence."""
        width = rows.shape[2]
        own = rows[part.group].view(self.sequences, self.blocks, self.block, width)[part.sequences]
        shares = shares.view(len(own), part.end - part.first, -1, self.block, width)
        for offset in range(self.earlier + 1 + self.later):
            shift = offset - self.earlier
            start, end = max(part.first + shift, 0), min(part.end + shift, self.blocks)
            if start < end:
                own[:, start:end] += shares[:, start - shift - part.first : end - shift - part.first, offset]


def _rows_by_head(x: Tensor) -> bool:
    """Are the rows of each head of x (b, h, n, ·) equally spaced in memory, through the whole batch?"""
    b, _, n, _ = x.shape
    return x.stride(3) == 1 and (b == 1 or x.stride(0) == n * x.stride(2))
