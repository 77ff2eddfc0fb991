"""Points of S(a) = {p ≥ 0, Uᵀp = Uᵀa}: the smallest in norm (E4) and the most even one (E5).

The orthonormal columns of U span [T, 1].

    E4   minimise ½ ‖p‖²           p − U w − s = 0,   p s = 0,   p, s ≥ 0         (s: the multipliers of p ≥ 0)
    E5   minimise Σ p log p        log p − U w = 0                                that is p = exp(U w), or softmax(T ·)

Both start from a itself, which is in S(a), and take Newton steps on these conditions, including Uᵀp = Uᵀa; every weight
stays positive on the way (E4: a primal-dual interior-point method with Mehrotra's correction). A step solves r
equations per row, all rows at once. The dual of E5 has r unknowns and no other conditions, but it is of no use for a
row whose weights lie on few tokens, because it is flat there.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Solver = Callable[[Tensor, Tensor, Tensor, int], Tensor]  # rows (R, m), basis (R, m, r), real (R, m), steps -> (R, m)
EXACT = 1e-13  # of Uᵀp − Uᵀa, whose entries are at most 1
GAP = 1e-12  # of what is left to gain, in a row whose weights sum to 1
FLOOR = 1e-9  # no weight starts below this share of an even one: a softmax underflows to 0, which no step can leave
KEPT = 0.99  # of the way to the nearest wall
# Within NEAR of EXACT and GAP, a row whose best does not become twice as good in PATIENCE steps is left.
NEAR, PATIENCE = 30, 10
AT_ONCE = 2**22  # entries of the rows' own bases in memory at a time


def on_rows(solver: Solver, a: Tensor, span: Tensor, real: Tensor, steps: int) -> Tensor:
    """Solve every row of a (…, n, m) with its head's basis (…, m, r) and real tokens (…, m).

    As many rows at a time as fit into memory.
    """
    n, m = a.shape[-2:]
    rows, bases, masks = a.reshape(-1, m), span.reshape(-1, m, span.shape[-1]), real.reshape(-1, m)
    head = torch.arange(len(bases), device=a.device).repeat_interleave(n)
    solved = torch.zeros_like(rows)
    (todo,) = (rows != 0).any(-1).nonzero(as_tuple=True)
    for chunk in torch.split(todo, max(1, AT_ONCE // max(1, m * span.shape[-1]))):
        solved[chunk] = solver(rows[chunk], bases[head[chunk]], masks[head[chunk]], steps)
    return solved.view_as(a)


def smallest(a: Tensor, span: Tensor, real: Tensor, steps: int) -> Tensor:
    """E4: rows (R, m) with bases (R, m, r) -> the distributions of least Euclidean norm with the same output."""
    target = _through(a, span)
    weights = ((span @ target[..., None])[..., 0]) * real  # E2: where it has no negative entry it is the answer
    (left,) = (weights < 0).any(-1).nonzero(as_tuple=True)
    if len(left):
        weights[left] = _smallest_inside(a[left], span[left], real[left], target[left], steps)
    return weights


def _smallest_inside(a: Tensor, span: Tensor, real: Tensor, target: Tensor, steps: int) -> Tensor:
    p, w = _start(a, real), torch.zeros_like(target)
    s = real.to(p) / real.sum(-1, keepdim=True)
    best = Best(p, s)
    whole, left = (span, target), torch.arange(len(a), device=a.device)
    for _ in range(steps):
        missing = target - _through(p, span)
        slope = (p - (span @ w[..., None])[..., 0] - s) * real
        gap = (p * s).sum(-1)
        going = best.offer(left, torch.maximum(gap, slope.abs().amax(-1)) / GAP, missing, p, s)
        if not going.any():
            break
        left, p, w, s, span, real, target = (x[going] for x in (left, p, w, s, span, real, target))
        missing, slope, gap = missing[going], slope[going], gap[going]
        mean = (gap / real.sum(-1))[:, None]
        theta = torch.where(real, p / (p + s), 0)
        solve = _solver(span, theta)
        # First a step towards the corner itself, to see how far it leads; then one towards the point that this
        # suggests.
        dp, _, ds = _direction(solve, span, theta, p, s, slope, missing, -p * s)
        size_p, size_s = _room(p, dp), _room(s, ds)
        then = ((p + size_p * dp) * (s + size_s * ds) * real).sum(-1, keepdim=True) / real.sum(-1, keepdim=True)
        centre = (then / mean).clamp(0, 1) ** 3 * mean
        dp, dw, ds = _direction(solve, span, theta, p, s, slope, missing, (centre - dp * ds - p * s) * real)
        size = torch.minimum(KEPT * _room(p, dp), KEPT * _room(s, ds)).clamp(max=1)
        p, w, s = p + size * dp, w + size * dw, s + size * ds
    p, s = best.found
    return _on_support(p, s, *whole)


class Best:
    """The best iterate of each row so far.

    Where only rounding is left, later iterates are no better, and can be worse.
    """

    def __init__(self, *start: Tensor) -> None:
        self.found = [x.clone() for x in start]
        self.score = torch.full_like(start[0][:, 0], torch.inf)
        self.waited = torch.zeros_like(self.score)

    def offer(self, left: Tensor, gain: Tensor, missing: Tensor, *iterate: Tensor) -> Tensor:
        """Record the iterates of the rows `left`, and return which of them should continue.

        `gain` is what is left to gain, in units of what counts.
        """
        score = torch.maximum(gain, missing.abs().amax(-1) / EXACT).nan_to_num(torch.inf)
        better = score < self.score[left]
        now = left[better]
        for kept, x in zip(self.found, iterate, strict=True):
            kept[now] = x[better]
        self.waited[left] += 1
        self.waited[left[score < 0.5 * self.score[left]]] = 0
        self.score[now] = score[better]
        return (score > 1) & ((self.score[left] > NEAR) | (self.waited[left] < PATIENCE))


def _direction(
    solve: Callable[[Tensor], Tensor],
    span: Tensor,
    theta: Tensor,
    p: Tensor,
    s: Tensor,
    slope: Tensor,
    missing: Tensor,
    product: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The Newton step of E4's conditions, `product` being what s dp + p ds is to be; theta = p / (p + s)."""
    inside = p.clamp(min=1e-300)
    known = theta * (product / inside - slope)
    dw = solve(missing - _through(known, span))
    dp = known + theta * (span @ dw[..., None])[..., 0]
    return dp, dw, (product - s * dp) / inside


def _on_support(p: Tensor, s: Tensor, span: Tensor, target: Tensor) -> Tensor:
    """E4's weights from the tokens alone that carry any (p > s): there it is a plain projection.

    Kept where it fulfils the conditions.
    """
    carried = p > s
    inside = span * carried[..., None]
    w = torch.linalg.pinv(inside.mT @ inside, hermitian=True, rtol=1e-13) @ target[..., None]
    exact = (inside @ w)[..., 0]
    error = (target - _through(exact, span)).abs().amax(-1)
    fine = (exact.amin(-1) >= 0) & (
        error <= torch.maximum((target - _through(p, span)).abs().amax(-1), error.new_tensor(EXACT))
    )
    return torch.where(fine[:, None], exact, p)


def most_entropy(a: Tensor, span: Tensor, real: Tensor, steps: int) -> Tensor:
    """E5: rows (R, m) with bases (R, m, r) -> the distributions of most entropy with the same output."""
    left = torch.arange(len(a), device=a.device)
    target = _through(a, span)
    p, w = _start(a, real), torch.zeros_like(target)
    best = Best(p)
    for _ in range(steps):
        missing = target - _through(p, span)
        slope = torch.where(real, p.clamp(min=1e-300).log() - (span @ w[..., None])[..., 0], 0)
        going = best.offer(left, (p * slope).abs().sum(-1) / GAP, missing, p)
        if not going.any():
            break
        left, p, w, span, real, target = (x[going] for x in (left, p, w, span, real, target))
        missing, slope = missing[going], slope[going]
        known = -p * slope
        dw = _solver(span, p)(missing - _through(known, span))
        dp = known + p * (span @ dw[..., None])[..., 0]
        size = (KEPT * _room(p, dp)).clamp(max=1)
        p, w = p + size * dp, w + size * dw
    return best.found[0]


def _start(a: Tensor, real: Tensor) -> Tensor:
    """a, with no weight of a real token at 0."""
    return torch.where(real, torch.maximum(a, FLOOR / real.sum(-1, keepdim=True)), 0)


def _solver(span: Tensor, theta: Tensor) -> Callable[[Tensor], Tensor]:
    """x -> (Uᵀ diag(θ) U)⁻¹ x for each row, (R, r) -> (R, r), with one step of refinement."""
    matrix = span.mT @ (span * theta[..., None])
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    # Columns of zeros of the basis, and tokens without weight, leave it singular; where it is, any solution does.
    ridge = 1e-15 * diagonal.amax(-1, keepdim=True) + (diagonal == 0)
    factor, _ = torch.linalg.cholesky_ex(matrix + torch.diag_embed(ridge))

    def solve(x: Tensor) -> Tensor:
        solution = torch.cholesky_solve(x[..., None], factor)
        solution = solution + torch.cholesky_solve(x[..., None] - matrix @ solution, factor)
        return torch.nan_to_num(solution[..., 0], 0.0, 0.0, 0.0)

    return solve


def _room(x: Tensor, step: Tensor) -> Tensor:
    """The largest multiple of a step, (R, 1), that leaves every positive entry positive."""
    falls = (step < 0) & (x > 0)
    return torch.where(falls, x / step.abs().clamp(min=1e-300), torch.inf).amin(-1, keepdim=True).clamp(max=1e10)


def _through(rows: Tensor, span: Tensor) -> Tensor:
    """Rows (R, m) through their own bases (R, m, r) -> (R, r)."""
    return (rows[:, None, :] @ span)[:, 0]
