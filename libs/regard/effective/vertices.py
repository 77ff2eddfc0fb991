"""A vertex of S(a) = {p ≥ 0, pᵀU = aᵀU}: the same output with at most rank([T, 1]) weights (E3).

Carathéodory's argument as an algorithm. Keep a set B of r tokens whose rows of U are independent. Each other token j is
taken down to 0, the smallest weight first, while the tokens of B compensate,

    p_j − θ,     p_B + θ y,     U_Bᵀ y = U_j

until the weight of j or of a token of B reaches 0; in the latter case j takes that token's place. Every token is
visited once, so that m − r steps, for all rows at once, end in a vertex. It is one of many: another order ends in
another. No linear program is solved; tests compare it with one.
"""

import torch
from torch import Tensor

SMALL = 1e-14  # below it, a weight or an entry of y is due to rounding alone


def vertex(a: Tensor, span: Tensor, real: Tensor, steps: int) -> Tensor:
    """Rows (R, m) with bases (R, m, r) -> vertices (R, m). `steps` is not used: the number of steps is known."""
    rank = (span != 0).any(1).sum(-1)
    point = torch.zeros_like(a)
    for size in sorted(set(rank.tolist())):  # heads of one rank at a time, so that their zero columns can be dropped
        (chosen,) = (rank == size).nonzero(as_tuple=True)
        nonzero = (span[chosen] != 0).any(1).to(torch.uint8).argsort(stable=True, dim=-1, descending=True)[:, :size]
        columns = span[chosen].gather(2, nonzero[:, None, :].expand(-1, span.shape[1], -1))
        point[chosen] = purified(a[chosen], columns, real[chosen])
    return point


def purified(a: Tensor, columns: Tensor, real: Tensor) -> Tensor:
    """Rows (R, m) with bases (R, m, r) of full rank r -> vertices (R, m)."""
    R, m, r = columns.shape
    rows = torch.arange(R, device=a.device)
    chosen = independent_tokens(a, columns, real)  # R r
    others = _others(a, chosen)  # R m-r, by rising weight
    inverse = torch.linalg.inv(_rows_of(columns, chosen).mT)  # R r r: U_Bᵀ y = u  ->  y = inverse u
    weight = a.gather(1, chosen)
    for step in range(m - r):
        j = others[:, step]
        p_j = a[rows, j]
        y = (inverse @ columns[rows, j][..., None])[..., 0]
        falls = y < -SMALL
        room = torch.where(falls, weight / y.abs().clamp(min=SMALL), torch.inf)
        first, place = room.min(-1)
        theta = torch.minimum(first, p_j)
        weight = (weight + theta[:, None] * y).clamp(min=0)
        swap = first < p_j
        if bool(swap.any()):
            at, i = rows[swap], place[swap]
            weight[at, i] = (p_j - theta)[swap]
            chosen[at, i] = j[swap]
            pivot = inverse[at, i] / y[at, i, None]  # the row of the inverse that leaves
            change = y[swap].clone()
            change[torch.arange(len(at), device=a.device), i] -= 1
            inverse[at] = inverse[at] - change[:, :, None] * pivot[:, None, :]
        if step % 64 == 63:  # rank-one changes gather rounding
            inverse = torch.linalg.inv(_rows_of(columns, chosen).mT)
    return torch.zeros_like(a).scatter(1, chosen, _polished(a, columns, chosen, weight))


def independent_tokens(a: Tensor, columns: Tensor, real: Tensor) -> Tensor:
    """r tokens (R, r) whose rows of the basis are independent, heavy ones first.

    They are the pivots of Gauss's elimination on diag(a) U.
    """
    floor = 1e-9 * a.amax(-1, keepdim=True)
    weighted = columns * (torch.maximum(a, floor) * real)[..., None]
    _, pivots = torch.linalg.lu_factor(weighted)
    order = torch.arange(a.shape[1], device=a.device).expand_as(a).clone()
    rows = torch.arange(len(a), device=a.device)
    for step in range(columns.shape[2]):  # LAPACK's pivots are swaps, one after the other
        other = pivots[:, step].long() - 1
        here = order[:, step].clone()
        order[:, step] = order[rows, other]
        order[rows, other] = here
    return order[:, : columns.shape[2]].contiguous()


def _others(a: Tensor, chosen: Tensor) -> Tensor:
    """The tokens that are not chosen, by rising weight (R, m − r)."""
    kept = a.scatter(1, chosen, torch.inf)
    return kept.argsort(stable=True, dim=-1)[:, : a.shape[1] - chosen.shape[1]]


def _rows_of(columns: Tensor, chosen: Tensor) -> Tensor:
    """The chosen tokens' rows of the basis (R, r, r)."""
    return columns.gather(1, chosen[..., None].expand(-1, -1, columns.shape[2]))


def _polished(a: Tensor, columns: Tensor, chosen: Tensor, weight: Tensor) -> Tensor:
    """The weights solved for once more from the output itself, where that does not make them negative."""
    target = (a[:, None, :] @ columns)[:, 0]
    exact, failed = torch.linalg.solve_ex(_rows_of(columns, chosen).mT, target)
    fine = (failed == 0) & exact.isfinite().all(-1) & (exact.amin(-1) > -1e-11)
    return torch.where(fine[:, None], exact.clamp(min=0), weight)
