"""Effective attention: the part of an attention matrix that reaches the output, under six definitions.

Letters: a row a (m) of the attention A (n, m), the values T (m, e) **with their bias**, t = aᵀT the output, [T, 1] the
values with a column of ones, S(a) = {p ≥ 0, 1ᵀp = 1, pᵀT = t}: every distribution that gives the same output. S(a) is
convex and never empty: it contains a.

    id  what                                                 output   sums to 1   ≥ 0
    E1  a U Uᵀ, U a basis of col(T)  (Brunner et al. 2020)   kept     no          no
    E2  a U Uᵀ, U a basis of col([T, 1])                     kept     yes         no
    E3  a vertex of S(a): at most rank([T, 1]) weights       kept     yes         yes
    E4   the point of S(a) of least Euclidean norm            kept     yes         yes
    E5  the point of S(a) of most entropy, softmax(T w)      kept     yes         yes
    E6  E1 without its negative entries, made to sum to 1    no       yes         yes

E2 to E6 are candidates for the "efficient attention" of Naim & Asher, "On Explaining with Attention Matrices" (2024),
whose own definition is not known to us; E6 serves as a control. E1 keeps the rows' sums only where 1 lies in col(T); E4
equals E2 wherever E2 ≥ 0; E3 is one vertex of many, and this one is reached by removing the smallest weights first.

    effective = regard.effective.effective_attention(attention, values, definition="E4", key_mask=keep)     # as the attention, (b, h, n, m)

There are two traps. Padded tokens must be left out *before* the decomposition, by `key_mask`: if they are removed after
it, the output is no longer the same. And the values must be those that the attention weighs, including their bias: 1 is
in no null space by chance.
"""

import difflib

import torch
from torch import Tensor

from regard.effective.properties import distributions, output_error
from regard.effective.simplex import most_entropy, on_rows, smallest
from regard.effective.spaces import basis, null_dimension, on_basis
from regard.effective.vertices import vertex

__all__ = ["DEFINITIONS", "distributions", "effective_attention", "null_dimension", "output_error"]

DEFINITIONS = ("E1", "E2", "E3", "E4", "E5", "E6")
OFF_BY = 1e-3  # a row whose sum is further from 1 than rounding in half precision explains is not a row of attention


def effective_attention(
    attention: Tensor,
    values: Tensor,
    *,
    definition: str,
    key_mask: Tensor | None = None,
    tolerance: float | None = None,
    steps: int = 200,
) -> Tensor:
    """The effective part of an attention matrix over its values.

    All is computed in float64. Time per head: O(m e²) for the decomposition and O(n m e) for E1, E2 and E6; O(n m e²)
    for E3, and that per Newton step for E4 and E5. Rows of masked queries may hold anything for E1 and E2, and rows of
    zeros stay zeros.

    Args:
        attention: A, `(…, n, m)`, rows of probabilities for E3 to E5.
        values: T, `(…, m, e)`, those that the attention weighs, bias included.
        definition: "E1" … "E6", as in the table above.
        key_mask: `(b, m)` or `(m)`, boolean, True = a real token; masked tokens get weight 0. Default: None, all
            tokens.
        tolerance: A singular value counts as zero below `tolerance` times the largest; raise it for values whose linear
            dependence is only exact to float32. Default: None, max(tokens, e) · 2⁻⁵².
        steps: The most Newton steps of E4 and E5; a row that needs more is returned as it is at that point, and
            `output_error` shows this. Default: 200.

    Returns:
        `(…, n, m)`, in the attention's dtype.

    Raises:
        ValueError: Shapes that do not fit, an unknown definition, rows that are not distributions (E3 to E5).
        TypeError: Arguments that are not floating point, a mask that is not boolean.
    """
    check(attention, values, definition, key_mask)
    real = mask_of(key_mask, attention)
    a = attention.to(torch.float64).masked_fill(~real[..., None, :], 0)
    t = values.to(torch.float64).masked_fill(~real[..., None], 0)
    if definition in ("E1", "E6"):
        result = on_basis(a, basis(t, real, tolerance))
    else:
        span = basis(torch.cat([t, real[..., None].to(t)], -1), real, tolerance)
        if definition == "E2":
            result = on_basis(a, span)
        else:
            solver = {"E3": vertex, "E4": smallest, "E5": most_entropy}[definition]
            result = on_rows(solver, as_distributions(a), span, real, steps)
    if definition == "E6":
        result = result.clamp(min=0)
        result = result / result.sum(-1, keepdim=True).clamp(min=torch.finfo(result.dtype).tiny)
    return result.to(attention.dtype)


def as_distributions(a: Tensor) -> Tensor:
    """Rows that sum to 1 to the last bit; rows of zeros (of queries that see nothing) stay.

    ValueError for rows that are not rows of attention.
    """
    sums = a.sum(-1, keepdim=True)
    empty = (a == 0).all(-1, keepdim=True)
    if bool((a < 0).any()) or bool((((sums - 1).abs() > OFF_BY) & ~empty).any()):
        raise ValueError(
            f"E3, E4 and E5 need rows of probabilities: the least entry is {float(a.min()):.3g}, the sums are {float(sums.min()):.6g} … "
            f"{float(sums.max()):.6g} over real tokens"
        )
    return a / sums.masked_fill(empty, 1)


def mask_of(key_mask: Tensor | None, attention: Tensor) -> Tensor:
    """The mask in the shape of a row of keys, (…, m)."""
    shape = (*attention.shape[:-2], attention.shape[-1])
    if key_mask is None:
        return torch.ones(shape, dtype=torch.bool, device=attention.device)
    ahead = key_mask.shape[:-1]
    return key_mask.view(*ahead, *[1] * (len(shape) - 1 - len(ahead)), shape[-1]).expand(shape)


def check(attention: Tensor, values: Tensor, definition: str, key_mask: Tensor | None) -> None:
    """Raises ValueError or TypeError, with the numbers, for arguments that do not fit each other."""
    if definition not in DEFINITIONS:
        near = difflib.get_close_matches(str(definition).upper(), DEFINITIONS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"there is no definition {definition!r}.{hint} There are {', '.join(DEFINITIONS)}")
    for name, tensor in {"attention": attention, "values": values}.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise TypeError(
                f"{name} must be a floating point tensor, got {getattr(tensor, 'dtype', type(tensor).__name__)}"
            )
    fits = attention.ndim >= 2 and attention.shape[:-2] == values.shape[:-2] and attention.shape[-1] == values.shape[-2]
    if values.ndim != attention.ndim or not fits:
        raise ValueError(
            f"attention is (…, n, m) and values (…, m, e), got {tuple(attention.shape)} and {tuple(values.shape)}"
        )
    if key_mask is not None:
        if key_mask.dtype != torch.bool:
            raise TypeError(f"key_mask must be boolean, got {key_mask.dtype}")
        wanted = (*attention.shape[: min(key_mask.ndim - 1, attention.ndim - 2)], attention.shape[-1])
        if tuple(key_mask.shape) != wanted:
            raise ValueError(f"key_mask must be (batch, keys) = {wanted}, got {tuple(key_mask.shape)}")
