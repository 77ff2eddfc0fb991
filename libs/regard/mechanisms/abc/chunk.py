"""Running slots: every query has slots of its own, the weighted means of the keys and values so far. Causal ABC.

    K̃_ic = Σ_{j ≤ i} exp(a_jc) k_j / Σ_{j ≤ i} exp(a_jc)        Ṽ_ic likewise, of b and v        out_i = Σ_c softmax_c(q_i · K̃_ic) Ṽ_ic

In chunks. With M_c the largest a_jc up to a chunk's end, E_jc = exp(a_jc − M_c), and S_c and s_c the sums before the
chunk,

    q_i · K̃_ic = [(Q Kᵀ).tril() E + Q Sᵀ]_ic / D_ic        D_ic = Σ_{j ≤ i in the chunk} E_jc + s_c

and the values likewise: products of matrices only. That is exact unless D_ic is close to 0 because a slot's logits have
jumped inside the chunk. In that case, and in a compiled graph, which cannot check for it, the weights are taken
relative to each row's own sum (`cumulative_softmax`), at several times the cost. Time O(n c (d + e + chunk)). Memory
beyond the result: O(n) for what is carried to the backward pass, else that of one span.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.common.chunking import iterate_spans
from regard.common.derivatives import can_branch
from regard.common.patterns import MASKED_LOGIT
from regard.common.prefix_sum import faded_sums

ROWWISE_CHUNK = 16  # the largest chunk of `cumulative_softmax`, whose weights are chunk² numbers per slot


class SlotState(NamedTuple):
    """The state of each slot after the tokens so far.

    M `(b, h, c)`, constant to autograd, Σ exp(a_j − M) `(b, h, c)` and Σ exp(a_j − M) x_j `(b, h, c, d)`.
    """

    reference: Tensor
    total: Tensor
    sums: Tensor


def chunk_abc(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    key_slots: Tensor,
    value_slots: Tensor,
    key_mask: Tensor | None,
    scale: float,
    chunk: int,
) -> Tensor:
    """Causal `regard.functional.abc`, span by span.

    q, k `(b, h, n, d)`, v `(b, h, n, e)`, slots `(d, c)` and `(e, c)` -> `(b, h, n, e)`; n ≥ 1.
    """
    wide = torch.promote_types(v.dtype, torch.float32)
    key_slots, value_slots = key_slots.to(wide), value_slots.to(wide)
    pasts = tuple(_nothing(x, key_slots.shape[1], wide) for x in (k, v))
    seen = None if key_mask is None else key_mask.cumsum(1) > 0  # does the row see any key?
    rows: list[Tensor] = []
    for part in iterate_spans(q, k, v, key_mask, chunk=chunk):
        a, b = part.k @ key_slots, part.v @ value_slots  # b h t c
        if part.mask is not None:
            a, b = (x.masked_fill(~part.mask[:, None, :, None], MASKED_LOGIT) for x in (a, b))
        heads, result = (part.q * scale, part.k, part.v, a, b, pasts), None
        if can_branch():
            result = _matmul_form(*heads, None if seen is None else seen[:, part.at], chunk)
        out, pasts = result or _rowwise_form(*heads, min(chunk, ROWWISE_CHUNK))
        poisoned = part.poisoned.any(-1, keepdim=True)  # a value's scores read all its features
        rows.append(out.masked_fill(poisoned, torch.nan).to(v.dtype))
    return torch.cat(rows, 2)


def _nothing(x: Tensor, slots: int, dtype: torch.dtype) -> SlotState:
    """Before the first token: one unseen zero, which weighs nothing next to any token."""
    shape = (*x.shape[:2], slots)
    unseen = torch.full(shape, MASKED_LOGIT, dtype=dtype, device=x.device)
    return SlotState(unseen, torch.ones_like(unseen), unseen.new_zeros(*shape, x.shape[3]))


def _folded(x: Tensor, chunk: int, value: float = 0.0) -> Tensor:
    """(b, h, t, ·) -> (b, h, s, chunk, ·), padded at the end."""
    padding = -x.shape[2] % chunk
    x = F.pad(x, (0, 0, 0, padding), value=value) if torch.compiler.is_compiling() or padding else x
    return x.reshape(*x.shape[:2], x.shape[2] // chunk, chunk, x.shape[3])


def _matmul_form(
    q: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, pasts: tuple[SlotState, ...], seen: Tensor | None, chunk: int
) -> tuple[Tensor, tuple[SlotState, ...]] | None:
    """A span's rows and the state before the next, or None where this form is not exact."""
    length = q.shape[2]
    q, k, v = (_folded(x, chunk) for x in (q, k, v))
    E, D, before, past = chunk_sums(_folded(a, chunk, MASKED_LOGIT), k, pasts[0])
    E_v, D_v, before_v, past_v = chunk_sums(_folded(b, chunk, MASKED_LOGIT), v, pasts[1])
    least = (torch.finfo(D.dtype).tiny / torch.finfo(D.dtype).eps) ** 0.5  # 1 / D², a gradient, is far from overflow
    if seen is None:  # D grows along a chunk
        exact = (torch.minimum(D[:, :, :, 0], D_v[:, :, :, 0]) >= least).all()
    else:
        unseen = ~_folded(seen[:, None, :, None], chunk)
        exact = ((torch.minimum(D, D_v) >= least) | unseen).all()
        D, D_v = (x.masked_fill(unseen, 1) for x in (D, D_v))
    if not exact:
        return None
    scores = ((q @ k.mT).tril() @ E + q @ before.mT) / D
    weights = scores.softmax(-1) / D_v
    out = (weights @ E_v.mT).tril() @ v + weights @ before_v
    return out.flatten(2, 3)[:, :, :length], (past, past_v)


def chunk_sums(logits: Tensor, x: Tensor, past: SlotState) -> tuple[Tensor, Tensor, Tensor, SlotState]:
    """Logits (b, h, s, chunk, c) and x (b, h, s, chunk, d) of s chunks, and the state before them.

    Returns E (b, h, s, chunk, c); D (b, h, s, chunk, c); the sums of x before each chunk (b, h, s, c, d), relative to
    its M; what stands after.
    """
    chunk = logits.shape[3]
    M = torch.cat((past.reference[:, :, None], logits.detach().amax(3)), 2).cummax(2).values  # b h (1 + s) c
    E = (logits - M[:, :, 1:, None]).exp()
    D = torch.ones(chunk, chunk, dtype=x.dtype, device=x.device).tril() @ E
    fading = (M[:, :, :-1] - M[:, :, 1:]).exp()  # b h s c
    total, sums = past.total, past.sums
    totals, before = [], []
    for fade, own_total, own in zip(fading.unbind(2), D[:, :, :, -1].unbind(2), (E.mT @ x).unbind(2), strict=True):
        total, sums = total * fade, sums * fade[..., None]
        totals.append(total)
        before.append(sums)
        total, sums = total + own_total, sums + own
    D = D + torch.stack(totals, 2)[:, :, :, None]
    return E, D, torch.stack(before, 2), SlotState(M[:, :, -1], total, sums)


def _rowwise_form(
    q: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, pasts: tuple[SlotState, ...], chunk: int
) -> tuple[Tensor, tuple[SlotState, ...]]:
    """A span's rows and the state before the next, whatever the logits."""
    length = q.shape[2]
    q, k, v = (_folded(x, chunk) for x in (q, k, v))
    within, faded, means, past = cumulative_softmax(_folded(a, chunk, MASKED_LOGIT), k, pasts[0])
    scores = torch.einsum("bhsij,bhsijc->bhsic", (q @ k.mT).tril(), within) + faded * (q @ means.mT)
    weights = scores.softmax(-1)
    within, faded, means, past_v = cumulative_softmax(_folded(b, chunk, MASKED_LOGIT), v, pasts[1])
    out = torch.einsum("bhsic,bhsijc->bhsij", weights, within).tril() @ v + (weights * faded) @ means
    return out.flatten(2, 3)[:, :, :length], (past, past_v)


def cumulative_softmax(logits: Tensor, x: Tensor, past: SlotState) -> tuple[Tensor, Tensor, Tensor, SlotState]:
    """Weights of x by the softmax over j ≤ i, for s chunks after the state before them.

    x `(b, h, s, chunk, d)`, logits `(b, h, s, chunk, c)`.

        w_ijc = exp(a_jc − L_ic)        L_ic = log Σ_{j ≤ i} exp(a_jc)

    Every exponent is at most 0, so that no logit, however large, overflows, and no later one touches an earlier row,
    not even by rounding. Returns within (b, h, s, i, j, c), the weights inside each chunk, 1 where j > i (the caller's
    `tril` of (i, j) costs less); faded (b, h, s, i, c), the weight left to all tokens before the chunk; means (b,
    h, s, c, d), the weighted mean of x over that; what stands after. A weighted sum is then within · x + faded · means.
    Memory O(n c (chunk + d / chunk)).
    """
    chunk = logits.shape[3]
    start = past.reference + past.total.log()
    total = torch.logaddexp(start[:, :, None], logits.flatten(2, 3).logcumsumexp(2)).reshape(logits.shape)  # L_i
    future = torch.ones(chunk, chunk, dtype=torch.bool, device=x.device).triu(1)[..., None]
    within = (logits[:, :, :, None] - total[:, :, :, :, None]).masked_fill(future, 0).exp()
    last = total[:, :, :, -1]  # b h s c
    earlier = torch.cat((start[:, :, None], last[:, :, :-1]), 2)
    added = (logits - last[:, :, :, None]).exp().mT @ x  # b h s c d
    state, before = past.sums / past.total[..., None], []
    reference = last[:, :, -1].detach()
    after = (last[:, :, -1] - reference).exp()  # 1, and the way of the gradient to L
    faded = (earlier[:, :, :, None] - total).exp()
    if torch.compiler.is_compiling():  # a loop would make one graph for each number of chunks; per slot, as heads
        levels = torch.cat((start[:, :, None], last), 2).transpose(2, 3)  # b h c (1 + s)
        states = faded_sums(
            state.flatten(0, 1)[..., None], added.flatten(0, 1).transpose(1, 2)[..., None], levels.flatten(0, 1)
        )
        states = states[..., 0].transpose(1, 2)
        states = states.reshape(*logits.shape[:2], *states.shape[1:])  # b h (1 + s) c d
        return within, faded, states[:, :, :-1], SlotState(reference, after, states[:, :, -1] * after[..., None])
    fading = (earlier - last).exp()[..., None]
    for fade, own in zip(fading.unbind(2), added.unbind(2), strict=True):
        before.append(state)
        state = torch.addcmul(own, state, fade)
    return within, faded, torch.stack(before, 2), SlotState(reference, after, state * after[..., None])
