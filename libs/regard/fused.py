"""Softmax attention inside clusters, its rounds merged: gathers of whole rows around a fused kernel that returns its log-sum-exp.

Round r pairs the queries of cluster i with the keys of cluster i. For a query, with s = scale · q · k over the keys it meets in round r,

    l_r = logsumexp(s)        o_r = Σ exp(s - l_r) v        out = Σ_r w_r o_r        w_r = softmax_r(l_r)

which is one softmax over all the keys it meets, a key met twice counting twice. Hence the gradient needs no merge: with L = logsumexp_r(l_r)
each round's weights are exp(s - L), and the usual backward of attention, given `out` and L in place of o_r and l_r, returns its share.

On CPU the kernel is the one behind `scaled_dot_product_attention`; elsewhere a plain form of the same formulas.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from regard.clusters import Clusters

HAS_CPU_KERNEL = hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu")


def merged_attention(q: Tensor, k: Tensor, v: Tensor, clusters: Clusters, *, scale: float) -> Tensor:
    """Attention of each query to the keys of its clusters, rounds merged.

    q (b, h, n, d), k (b, h, m, d), v (b, h, m, e) -> (b, h, n, e), all finite. Queries that stand nowhere, or in a cluster without keys,
    get numbers of no meaning. Differentiable once in q, k and v.
    """
    d, e = q.shape[3], v.shape[3]
    if d != e:  # the kernel wants one width
        q, k, v = (F.pad(x, (0, max(d, e) - x.shape[3])) for x in (q, k, v))
    bias = None
    if clusters.key_filled is not None:
        dropped = ~clusters.key_filled.view(q.shape[0], 1, clusters.number, 1, -1)
        lowest = torch.finfo(q.dtype).min / 2  # finite: an empty cluster must not turn NaN
        bias = torch.zeros(dropped.shape, dtype=q.dtype, device=q.device).masked_fill_(dropped, lowest)
        bias = bias.expand(-1, q.shape[1], -1, -1, -1).flatten(0, 2)[:, None]  # b·h·c 1 1 K
    tokens = clusters.query_token, clusters.key_token, clusters.place, clusters.query_filled
    out: Tensor = _Merged.apply(q, k, v, *tokens, bias, clusters.number, scale)  # type: ignore[no-untyped-call]
    return out[..., :e]


class _Merged(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        query_token: Tensor,
        key_token: Tensor,
        place: Tensor,
        query_filled: Tensor | None,
        bias: Tensor | None,
        clusters: int,
        scale: float,
    ) -> Tensor:
        b, h, n, d = q.shape
        out, total = q.new_empty(0), q.new_empty(0)
        for r in range(query_token.shape[0]):
            q_r, k_r, v_r = (
                take(x, token[r], clusters) for x, token in ((q, query_token), (k, key_token), (v, key_token))
            )
            out_r, lse_r = attention_with_lse(q_r, k_r, v_r, bias, scale)
            del q_r, k_r, v_r  # before the next round gathers its own
            out_r = take(out_r.reshape(b, h, -1, d), place[r], 1).view(b, h, n, d).to(lse_r.dtype)
            lse_r = lse_r.reshape(b, h, -1).gather(2, place[r])
            if r == 0:
                out, total = out_r, lse_r
            else:
                out = out.lerp_(out_r, torch.sigmoid(lse_r - total)[..., None])
                total = torch.logaddexp(total, lse_r)
        out = out.to(q.dtype)
        ctx.save_for_backward(q, k, v, out, total, query_token, key_token, place, query_filled, bias)
        ctx.clusters, ctx.scale = clusters, scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, total, query_token, key_token, place, query_filled, bias = ctx.saved_tensors
        grad_q, grad_k, grad_v = (torch.zeros(x.shape, dtype=total.dtype, device=x.device) for x in (q, k, v))
        b, h, n, d = q.shape
        for r in range(query_token.shape[0]):
            q_r, out_r, grad_r = (take(x, query_token[r], ctx.clusters) for x in (q, out, grad))
            k_r, v_r = (take(x, key_token[r], ctx.clusters) for x in (k, v))
            lse_r = total.gather(2, query_token[r])
            if query_filled is not None:
                lse_r = lse_r.masked_fill(
                    ~query_filled[:, None], torch.inf
                )  # exp(s - inf) = 0: an empty place has no say
            lse_r = lse_r.view(-1, 1, lse_r.shape[-1] // ctx.clusters)
            q_r, k_r, v_r = attention_backward(grad_r, q_r, k_r, v_r, out_r, lse_r, bias, ctx.scale)
            grad_q += take(q_r.reshape(b, h, -1, d), place[r], 1).view(b, h, n, d)
            index = row_index(key_token[r], grad_k)[:, None].expand(-1, d)
            grad_k.view(-1, d).scatter_add_(0, index, k_r.reshape(-1, d).to(grad_k.dtype))
            grad_v.view(-1, d).scatter_add_(0, index, v_r.reshape(-1, d).to(grad_v.dtype))
        return grad_q.to(q.dtype), grad_k.to(k.dtype), grad_v.to(v.dtype), None, None, None, None, None, None, None


def take(x: Tensor, token: Tensor, clusters: int) -> Tensor:
    """Rows of x (b, h, n, d) by `token` (b, h, s), whole rows at a time -> (b·h·clusters, 1, s / clusters, d)."""
    b, h, _, d = x.shape
    if not (x.is_contiguous() or x.transpose(1, 2).is_contiguous()):
        x = x.contiguous()
    index = row_index(token, x)
    flat = x.reshape(-1, d) if x.is_contiguous() else x.transpose(1, 2).reshape(-1, d)
    return flat.index_select(0, index).view(b * h * clusters, 1, token.shape[-1] // clusters, d)


def row_index(token: Tensor, x: Tensor) -> Tensor:
    """Where the rows `token` (b, h, s) of x (b, h, n, d) lie once x is flattened to (rows, d) in the order of its memory -> (b·h·s)."""
    b, h, n, _ = x.shape
    per_batch, per_head, per_token = (h * n, n, 1) if x.is_contiguous() else (n * h, 1, h)
    batch = torch.arange(b, device=x.device)[:, None, None] * per_batch
    head = torch.arange(h, device=x.device)[:, None] * per_head
    return (token * per_token + batch + head).flatten()


def attention_with_lse(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """Attention and its log-sum-exp: q (s, 1, C, d), k and v (s, 1, K, d), `bias` (s, 1, 1, K) -> (s, 1, C, d) and (s, 1, C).

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
    """Gradients of q, k, v for weights exp(scale · q · k + bias - lse), where `out` and `lse` may be those of a larger softmax."""
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
