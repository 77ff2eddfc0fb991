"""Softmax attention inside clusters, its rounds merged.

Gathers of whole rows around a fused kernel that returns its log-sum-exp.

Round r pairs the queries of cluster i with the keys of cluster i. For a query, with s = scale · q · k over the keys it
meets in round r,

    l_r = logsumexp(s)        o_r = Σ exp(s - l_r) v        out = Σ_r w_r o_r        w_r = softmax_r(l_r)

which is one softmax over all the keys that it meets. A key met twice counts twice (a round that counts t times has log
t added to its l_r), or once if later meetings of the same pair are left out of s; the unbiased merge then adds log(1 /
P(met)) to s (`regard.mechanisms.smyrf.unbiased`). Hence the gradient needs no merge: with L = logsumexp_r(l_r) each
round's weights are exp(s - L), and the usual backward of attention, given `out` and L in place of o_r and l_r, returns
its share.

On CPU the kernel is the one behind `scaled_dot_product_attention`, and a round goes through it in parts that stay in
the cache: reusing memory costs a fraction of what it costs to have the system map and clear new memory. Each thread
does all of this for its share of the heads (`regard.common.threads`). Other devices use a plain form of the same
formulas, in one part.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from regard.common.autocast import autocast_enabled
from regard.common.threads import share_out
from regard.mechanisms.smyrf.clusters import Clusters, by_level
from regard.mechanisms.smyrf.unbiased import Counted, counted_in

HAS_CPU_KERNEL = hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu")
Merge = Literal["multiset", "once", "unbiased"]
Share = tuple[slice, Sequence[Clusters]]  # some of the heads, and their rounds
PART_BYTES = 2**20  # of the gathered queries or keys, per thread, on CPU


def merged_attention(
    q: Tensor, k: Tensor, v: Tensor, shares: Sequence[Share], *, scale: float, merge: Merge = "multiset"
) -> Tensor:
    """Attention of each query to the keys of its clusters, rounds merged.

    `shares`: the rounds, for all heads together or for some heads each. `merge`: a key met in several rounds counts
    that often, `once`, or once over its chance to be met (`unbiased`).

    q (b, h, n, d), k (b, h, m, d), v (b, h, m, e) -> (b, h, n, e), all finite. The first round must place every query
    whose output matters: queries that it does not place, and those in clusters without keys, get meaningless numbers.
    Differentiable once in q, k and v.
    """
    d, e = q.shape[3], v.shape[3]
    if d != e:  # the kernel wants one width
        q, k, v = (F.pad(x, (0, max(d, e) - x.shape[3])) for x in (q, k, v))
    layouts, tensors = flatten([rounds for _, rounds in shares])
    out: Tensor = _Merged.apply(  # type: ignore[no-untyped-call]
        q, k, v, list(zip((heads for heads, _ in shares), layouts, strict=True)), scale, merge, *tensors
    )
    return out[..., :e]


class Layout(NamedTuple):
    """A round without its tensors: for each tensor field its index in a flat list, and its other fields.

    Autograd and torch.compile need the tensors of a call as separate arguments, and torch.compile accepts none of them
    twice.
    """

    tensor_at: dict[str, int]
    others: dict[str, Any]


def flatten(shares: Sequence[Sequence[Clusters]]) -> tuple[list[list[Layout]], list[Tensor]]:
    """The rounds of each share as layouts, and the tensors of all of them, each once."""
    tensors: list[Tensor] = []
    layouts: list[list[Layout]] = [[] for _ in shares]
    for number, clusters in ((number, clusters) for number, rounds in enumerate(shares) for clusters in rounds):
        fields = clusters._asdict()
        held = {name: value for name, value in fields.items() if isinstance(value, Tensor)}
        for value in held.values():
            if all(value is not known for known in tensors):
                tensors.append(value)
        tensor_at = {name: next(i for i, known in enumerate(tensors) if known is value) for name, value in held.items()}
        layouts[number].append(Layout(tensor_at, {name: value for name, value in fields.items() if name not in held}))
    return layouts, tensors


def unflatten(layouts: Sequence[Layout], tensors: Sequence[Tensor]) -> Iterator[Clusters]:
    """The rounds that `flatten` took apart."""
    for layout in layouts:
        fields: dict[str, Any] = {name: tensors[i] for name, i in layout.tensor_at.items()}
        yield Clusters(**fields, **layout.others)


class Part(NamedTuple):
    """Some clusters of a round, their places one after the other.

    Where their rows are in q, k and v, and in new tensors: (b·h·n + 1, ·) for the queries, whose last row takes what
    empty places give, and (b·h·m, ·) for the keys. `bias` is added to the scores.
    """

    clusters: int
    places: slice
    q: Tensor
    k: Tensor
    v: Tensor
    query: Tensor
    key: Tensor
    bias: Tensor | None


class _Merged(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        layouts: Sequence[tuple[slice, Sequence[Layout]]],
        scale: float,
        merge: Merge,
        *tensors: Any,
    ) -> Tensor:
        (b, h, n, d), exact = q.shape, torch.float32 if q.dtype in (torch.float16, torch.bfloat16) else q.dtype
        q, k, v = (_laid_out(x) for x in (q, k, v))
        out = torch.empty(b * h * n + 1, d, dtype=exact, device=q.device)
        total = torch.empty(b * h * n + 1, dtype=exact, device=q.device)

        def attend(heads: slice, rounds: Sequence[Layout]) -> None:
            for x in (out, total):
                _zero_heads(x, heads, b, h)
            for number, (clusters, met) in enumerate(
                _rounds(unflatten(rounds, tensors), merge, n, k.shape[2], heads, h)
            ):
                for part in _parts(clusters, met, q, k, v, heads):
                    q_r, k_r, v_r = (
                        _rows(x, index, part.clusters) for x, index in ((q, part.q), (k, part.k), (v, part.v))
                    )
                    out_r, lse_r = attention_with_lse(q_r, k_r, v_r, part.bias, scale)
                    out_r, lse_r = out_r.reshape(-1, d).to(exact), lse_r.reshape(-1) + math.log(clusters.times)
                    if number:
                        so_far = total.index_select(0, part.query)
                        out_r = out.index_select(0, part.query).lerp_(out_r, torch.sigmoid(lse_r - so_far)[:, None])
                        lse_r = torch.logaddexp(so_far, lse_r)
                    out.index_copy_(0, part.query, out_r)
                    total.index_copy_(0, part.query, lse_r)

        _each_share(layouts, attend, q, k, v)
        out = out[:-1].view(b, h, n, d).to(q.dtype)
        ctx.save_for_backward(q, k, v, out, total, *tensors)
        ctx.layouts, ctx.scale, ctx.merge = layouts, scale, merge
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            # `once_differentiable` would report this only if the incoming gradient itself requires a gradient.
            raise RuntimeError(
                "SMYRF's gradient has no gradient of its own: call without create_graph=True (torch.func.grad sets it)"
            )
        if not autocast_enabled(grad.device.type):
            return _Merged._gradients(ctx, grad)
        with torch.autocast(grad.device.type, enabled=False):  # a backward pass may be called inside it
            return _Merged._gradients(ctx, grad)

    @staticmethod
    @once_differentiable
    def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, total, *tensors = ctx.saved_tensors
        (b, h, n, d), grad = q.shape, _laid_out(grad)
        grad_q, grad_k, grad_v = (
            torch.empty(b * h * length + 1, d, dtype=total.dtype, device=q.device) for length in (n, *2 * (k.shape[2],))
        )

        def collect(heads: slice, rounds: Sequence[Layout]) -> None:
            for x in (grad_q, grad_k, grad_v):
                _zero_heads(x, heads, b, h)
            for clusters, met in _rounds(unflatten(rounds, tensors), ctx.merge, n, k.shape[2], heads, h):
                of_out, of_grad = (row_index(clusters.query_token, x, heads) for x in (out, grad))
                filled = _flat(clusters.query_filled)
                for part in _parts(clusters, met, q, k, v, heads):
                    q_r, out_r, grad_r, k_r, v_r = (
                        _rows(x, index, part.clusters)
                        for x, index in (
                            (q, part.q),
                            (out, of_out[part.places]),
                            (grad, of_grad[part.places]),
                            (k, part.k),
                            (v, part.v),
                        )
                    )
                    lse_r = total.index_select(0, part.query) - math.log(clusters.times)
                    if filled is not None:  # exp(s - inf) = 0: an empty place has no weight
                        lse_r = lse_r.masked_fill(~filled[part.places], torch.inf)
                    lse_r = lse_r.view(part.clusters, 1, -1)
                    shares = attention_backward(grad_r, q_r, k_r, v_r, out_r, lse_r, part.bias, ctx.scale)
                    q_r, k_r, v_r = (x.reshape(-1, d).to(total.dtype) for x in shares)
                    grad_q.index_copy_(0, part.query, grad_q.index_select(0, part.query).add_(q_r))
                    index = part.key[:, None].expand(-1, d)
                    grad_k.scatter_add_(0, index, k_r)
                    grad_v.scatter_add_(0, index, v_r)

        _each_share(ctx.layouts, collect, q, k, v)
        grads = ((grad_q[:-1], q), (grad_k[:-1], k), (grad_v[:-1], v))
        return *(g.view(x.shape).to(x.dtype) for g, x in grads), None, None, None, *(None for _ in tensors)


def _each_share(
    layouts: Sequence[tuple[slice, Sequence[Layout]]],
    work: Callable[[slice, Sequence[Layout]], None],
    *inputs: Tensor,
) -> None:
    """Do `work` on the heads and the rounds of each share, each by a thread of its own."""

    def some(units: slice) -> None:
        for heads, rounds in layouts[units]:
            work(heads, rounds)

    share_out(len(layouts), some, *inputs)


def _zero_heads(x: Tensor, heads: slice, b: int, h: int) -> None:
    """Set the rows of some heads of x (b·h·length + 1, …) to 0, and also the last row, which belongs to no head."""
    x[-1] = 0
    x[:-1].unflatten(0, (b, h, -1))[:, heads].zero_()  # type: ignore[no-untyped-call]


class Met(NamedTuple):
    """Who has met in the earlier rounds of a level, as `_sets` of queries and keys, and the counts of all its rounds."""

    earlier: Sequence[tuple[Tensor, Tensor]] = ()
    counted: Counted | None = None


def _rounds(
    rounds: Iterable[Clusters], merge: Merge, n: int, m: int, heads: slice, h: int
) -> Iterator[tuple[Clusters, Met]]:
    """The rounds that attend, each with what its queries and keys meet elsewhere on its level."""
    for clusters in by_level(rounds):
        sets = (
            [(_sets(each, "query", n, heads, h), _sets(each, "key", m, heads, h)) for each in clusters]
            if merge != "multiset" and len(clusters) > 1
            else []
        )
        attending = [each for each in clusters if each.attends]
        counted = counted_in(sets, len(attending)) if merge == "unbiased" and sets else None
        for number, each in enumerate(attending):
            yield each, Met(sets[:number], counted)


def _sets(clusters: Clusters, which: str, length: int, heads: slice, h: int) -> Tensor:
    """The set of keys that each query, or key, of `heads` belongs to: (b·h·length + 1), below 0 where to none."""
    token, filled = (getattr(clusters, f"{which}_{what}") for what in ("token", "filled"))
    b, _, number = clusters.key_set.shape
    sets = clusters.key_set[..., None].expand(-1, -1, -1, token.shape[2] // number).flatten().int()
    none = {"query": -1, "key": -2}[which]
    return torch.full((b * h * length + 1,), none, dtype=torch.int32, device=token.device).scatter_(
        0, _new_row(token, filled, length, heads, h), sets
    )


def _parts(clusters: Clusters, met: Met, q: Tensor, k: Tensor, v: Tensor, heads: slice) -> Iterator[Part]:
    """A round of the clusters of `heads` cut into parts of as many whole ones as `PART_BYTES` allow, on CPU."""
    (_, all_heads, n, d), m = q.shape, k.shape[2]
    b, h, number = clusters.key_set.shape
    C, K, every = clusters.query_token.shape[2] // number, clusters.key_token.shape[2] // number, b * h * number
    size = every
    if q.device.type == "cpu" and not torch.compiler.is_compiling():
        size = max(1, PART_BYTES * torch.get_num_threads() // (max(C, K) * d * q.element_size()))
    of_q, of_k = row_index(clusters.query_token, q, heads), row_index(clusters.key_token, k, heads)
    of_v = of_k if v.is_contiguous() == k.is_contiguous() else row_index(clusters.key_token, v, heads)
    as_new = q.is_contiguous() and clusters.query_filled is None
    query = of_q if as_new else _new_row(clusters.query_token, clusters.query_filled, n, heads, all_heads)
    key = of_k if k.is_contiguous() else _new_row(clusters.key_token, None, m, heads, all_heads)
    filled, query_token, key_token = (_flat(x) for x in (clusters.key_filled, clusters.query_token, clusters.key_token))
    for first in range(0, every, size):
        end = min(first + size, every)
        at_q, at_k = slice(first * C, end * C), slice(first * K, end * K)
        dropped: list[Tensor] = []
        if filled is not None:
            dropped.append(~filled[at_k].view(-1, 1, K))
        if clusters.ordered and query_token is not None and key_token is not None:
            dropped.append(key_token[at_k].view(-1, 1, K) > query_token[at_q].view(-1, C, 1))
        for query_sets, key_sets in met.earlier:
            dropped.append(query_sets[query[at_q]].view(-1, C, 1) == key_sets[key[at_k]].view(-1, 1, K))
        bias = _bias(dropped, q.dtype)
        if met.counted is not None:
            weights = met.counted.log_weights(query[at_q].view(-1, C), key[at_k].view(-1, K)).to(q.dtype)[:, None]
            bias = weights if bias is None else bias + weights
        yield Part(end - first, at_q, of_q[at_q], of_k[at_k], of_v[at_k], query[at_q], key[at_k], bias)


def _bias(dropped: Sequence[Tensor], dtype: torch.dtype) -> Tensor | None:
    """The sum of the scores' biases: 0, and the lowest number where any of `dropped` (s, ·, ·) is True -> (s, 1, ·, ·)."""
    if not dropped:
        return None
    together = dropped[0]
    for each in dropped[1:]:
        together = together | each
    lowest = torch.finfo(dtype).min / 2  # finite: a row in which everything is dropped must not become NaN
    return torch.zeros(together.shape, dtype=dtype, device=together.device).masked_fill_(together, lowest)[:, None]


def _flat(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.flatten()


def _laid_out(x: Tensor) -> Tensor:
    """x (b, h, n, d) with whole rows one after the other, by head or by token; copied only when it is neither."""
    return x if x.is_contiguous() or x.transpose(1, 2).is_contiguous() else x.contiguous()


def _rows(x: Tensor, index: Tensor, clusters: int) -> Tensor:
    """Rows of x (b, h, n, d) by their place in memory -> (clusters, 1, rows / clusters, d)."""
    flat = (x if x.is_contiguous() else x.transpose(1, 2)).reshape(-1, x.shape[-1])
    return flat.index_select(0, index).view(clusters, 1, -1, x.shape[-1])


def row_index(token: Tensor, x: Tensor, heads: slice = slice(None)) -> Tensor:
    """Where rows of a tensor lie in its memory.

    The rows `token` `(b, heads, s)` of x `(b, h, n, d)`, once x is flattened to (rows, d) in the order of its memory ->
    `(b·heads·s)`.
    """
    b, h, n, _ = x.shape
    per_batch, per_head, per_token = (h * n, n, 1) if x.is_contiguous() else (n * h, 1, h)
    first = torch.arange(b, device=x.device)[:, None] * per_batch + torch.arange(h, device=x.device)[heads] * per_head
    return ((token if per_token == 1 else token * per_token) + first[..., None]).flatten()


def _new_row(token: Tensor, filled: Tensor | None, length: int, heads: slice, h: int) -> Tensor:
    """Rows of `token` (b, heads, s) in a new tensor (b·h·length + 1, ·), empty places sent to the last."""
    b = token.shape[0]
    head = torch.arange(b * h, device=token.device).view(b, h, 1)[:, heads] * length
    rows = token + head
    return (rows if filled is None else rows.masked_fill(~filled, b * h * length)).flatten()


def attention_with_lse(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """Attention and its log-sum-exp.

    q `(s, 1, C, d)`, k and v `(s, 1, K, d)`, `bias` `(s, 1, 1, K)` -> `(s, 1, C, d)` and `(s, 1, C)`.

    The log-sum-exp of half precision inputs is float32.
    """
    if HAS_CPU_KERNEL and q.device.type == "cpu":
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, attn_mask=bias, scale=scale)
        return out, lse
    scores, lse = _scores(q, k, bias, scale)
    return ((scores - lse).exp() @ v.to(scores.dtype)).to(q.dtype), lse[..., 0]


def attention_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, bias: Tensor | None, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k, v for weights exp(scale · q · k + bias - lse).

    `out` and `lse` may be those of a larger softmax.
    """
    if HAS_CPU_KERNEL and q.device.type == "cpu":
        grads = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad, q, k, v, out, lse, 0.0, False, attn_mask=bias, scale=scale
        )
        return grads[0], grads[1], grads[2]
    scores, _ = _scores(q, k, bias, scale)
    grad, q, k, v, out = (x.to(scores.dtype) for x in (grad, q, k, v, out))
    weights = (scores - lse[..., None]).exp()
    grad_scores = weights * (grad @ v.mT - (grad * out).sum(-1, keepdim=True)) * scale
    return grad_scores @ k, grad_scores.mT @ q, weights.mT @ grad


def _scores(q: Tensor, k: Tensor, bias: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    accumulated = torch.float32 if q.dtype in (torch.float16, torch.bfloat16) else q.dtype
    scores = scale * (q.to(accumulated) @ k.to(accumulated).mT)
    if bias is not None:
        scores = scores + bias
    return scores, scores.logsumexp(-1, keepdim=True)
