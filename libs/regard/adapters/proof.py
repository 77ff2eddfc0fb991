"""Checks of a swap: softmax through the new path changes nothing, and no mechanism reveals more than the model did.

Three questions, asked of the model as it was and of the swapped one with the same inputs:

    parity     softmax attention in every swapped place gives the model's outputs, with and without padding
    future     with a different end of a sequence: earlier outputs that stay the same in the model stay the same here
    padding    with different contents in masked places: outputs that stay the same in the model stay the same here

The last two are asked with the mechanism's small `example` options too, because one cluster of all tokens shows nothing.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from regard.adapters.examples import Example, padded
from regard.observers import muted


class SwapError(ValueError):
    """A swap that would change the model's behaviour; the message says which layer and why."""


@contextmanager
def quiet(model: nn.Module) -> Iterator[None]:
    """Within the block the model is in evaluation, without gradients, unobserved, and the random state is put back."""
    training = [module for module in model.modules() if module.training]
    hooks = {module: module._forward_hooks.copy() for module in model.modules() if module._forward_hooks}
    for module in hooks:
        for key, hook in list(module._forward_hooks.items()):
            if not str(getattr(hook, "__module__", "")).startswith(("torch.", "accelerate", "regard")):
                del module._forward_hooks[key]  # a user's hooks count calls, or keep what they see
    for module in training:
        module.training = False
    try:
        kinds = {p.device.type for p in model.parameters()} & {"cpu", "cuda", "xpu", "mps"}
        with torch.no_grad(), torch.random.fork_rng(devices=[]), muted(), ExitStack() as without:
            for kind in kinds:
                without.enter_context(torch.autocast(kind, enabled=False))
            torch.manual_seed(0)
            yield
    finally:
        for module in training:
            module.training = True
        for module, kept in hooks.items():
            module._forward_hooks.clear()
            module._forward_hooks.update(kept)


def outputs(model: nn.Module, example: Example) -> dict[str, Tensor]:
    """The floating point tensors of a call's result, by place in it, no finer than the parameters; without caches."""
    torch.manual_seed(0)
    sizes = [(p.dtype.itemsize, p.dtype) for p in model.parameters() if p.is_floating_point() and p.dtype.itemsize > 1]
    coarsest = min(sizes, default=(4, torch.float32), key=lambda pair: pair[0])[1]
    tensors: dict[str, Tensor] = {}

    def walk(x: Any, place: str) -> None:
        if isinstance(x, Tensor):
            if x.is_floating_point():
                tensors[place] = x.detach().to(coarsest) if x.dtype.itemsize > coarsest.itemsize else x.detach()
        elif isinstance(x, Mapping):
            for name, value in x.items():
                if "past_key" not in str(name) and "cache" not in str(name):
                    walk(value, f"{place}.{name}" if place else str(name))
        elif isinstance(x, (tuple, list)):
            for i, value in enumerate(x):
                walk(value, f"{place}[{i}]")

    walk(example.call(model), "")
    return tensors


# Tolerances relative to the largest entry, by bytes of the dtype: for a different order of sums, and for a product of
# different size.
NEAR = {8: 1e-5, 4: 1e-3, 2: 0.1}  # plain attention in transformers has its softmax in float32
SAME = {8: 1e-11, 4: 1e-5, 2: 0.02}


def tolerance(x: Tensor, allowed: Mapping[int, float]) -> float:
    """How far apart outputs that count as equal may be."""
    largest = float(x.abs().nan_to_num(0.0, 0.0, 0.0).max()) if x.numel() else 0.0
    return allowed[x.dtype.itemsize] * max(largest, 1e-3)


def apart(a: Tensor, b: Tensor, rows: Tensor | None) -> float:
    """The largest difference, over rows `(b, n)` if given; infinite where only one of the two is NaN."""
    if rows is not None:
        a, b = a[rows], b[rows]
    if a.numel() == 0:
        return 0.0
    difference = (a.double() - b.double()).abs()
    same = (a == b) | (a.isnan() & b.isnan())
    return float(difference.masked_fill(same, 0.0).nan_to_num(math.inf).max())


def check_tells(reference: dict[str, Tensor], keep: Tensor | None, case: str) -> None:
    """Raises ValueError for outputs by which nothing can be proven: there are none, or not a number of theirs is finite."""
    finite = {}
    for name, x in reference.items():
        rows = x[keep] if keep is not None and x.shape[:2] == keep.shape else x
        finite[name] = int(rows.isfinite().sum())
    if not any(finite.values()):
        held = ", ".join(f"{name or 'the output'} of shape {tuple(x.shape)}" for name, x in reference.items())
        raise ValueError(
            f"on this example ({case}) the model gives {held or 'no numbers'}, none of them finite, so nothing can be proven: give"
            " another example"
        )


def check_parity(reference: dict[str, Tensor], found: dict[str, Tensor], keep: Tensor | None, what: str) -> str:
    """Raises SwapError where the outputs of kept tokens differ; else the largest difference, in words."""
    worst = 0.0
    for name, a in reference.items():
        b = found.get(name)
        if b is None or b.shape != a.shape:
            raise SwapError(
                f"{what}: the output {name or 'of the model'} is {None if b is None else tuple(b.shape)}, was {tuple(a.shape)}"
            )
        rows = keep if keep is not None and a.shape[:2] == keep.shape else None
        if keep is not None and rows is None:
            continue  # pooled, or of another length: it may contain results of padded places
        distance = apart(a, b, rows)
        if not distance <= tolerance(a, NEAR):
            raise SwapError(
                f"{what}: softmax attention in its new place moves the output {name or 'of the model'} by {distance:.3g}"
                f" (largest entry {float(a.abs().max()):.3g})"
            )
        worst = max(worst, distance)
    return f"{what}: equal within {worst:.1e}"


def unchanged(
    before: dict[str, Tensor], after: dict[str, Tensor], rows: Callable[[Tensor], Tensor | None]
) -> dict[str, float]:
    """How far each output with such rows has moved in them."""
    moved = {}
    for name, a in before.items():
        chosen = rows(a)
        if chosen is not None and name in after and after[name].shape == a.shape:
            moved[name] = apart(a, after[name], chosen)
    return moved


def other(x: Tensor, place: Tensor) -> Tensor:
    """x with different contents in these places `(b, n)`: other tokens of the same row, or their negative."""
    if x.is_floating_point():
        return torch.where(place[:, :, None], -3 * x.flip(1) - 1, x)
    return torch.where(place, x.flip(1).roll(1, 1), x)


def variations(example: Example) -> Iterator[tuple[str, Example, Callable[[Tensor], Tensor | None]]]:
    """Which inputs of a call may be changed, and which rows of an output are then compared."""
    for name, x in example.sequences():
        b, n = x.shape[:2]
        if n < 3:
            continue
        for start in (n // 2, n - 1):
            late = (torch.arange(n, device=x.device) >= start).expand(b, n)

            def early(a: Tensor, late: Tensor = late) -> Tensor | None:
                return ~late if a.ndim > 1 and a.shape[:2] == late.shape else None

            yield f"the future of {name} from token {start}", example.changed(name, other(x, late)), early
        if example.keep is not None and example.keep.shape == (b, n):
            keep = example.keep

            def real(a: Tensor, keep: Tensor = keep) -> Tensor | None:
                return keep if a.ndim > 1 and a.shape[:2] == keep.shape else None

            yield f"the padding of {name}", example.changed(name, other(x, ~keep)), real


def kept_by(model: nn.Module, example: Example) -> dict[str, dict[str, float]]:
    """How far each variation moves the outputs that it should not."""
    base = outputs(model, example)
    return {what: unchanged(base, outputs(model, varied), rows) for what, varied, rows in variations(example)}


def check_kept(model: nn.Module, example: Example, reference: dict[str, dict[str, float]], mechanism: str) -> list[str]:
    """Raises SwapError if the mechanism moves an output that the unswapped model does not; else says what was kept."""
    base = outputs(model, example)
    said = []
    for what, varied, rows in variations(example):
        for name, moved in unchanged(base, outputs(model, varied), rows).items():
            near = tolerance(base[name], SAME)
            if reference.get(what, {}).get(name, math.inf) > near:
                continue
            if not moved <= near:
                raise SwapError(
                    f"{mechanism!r} lets {what} change the output {name or 'of the model'} by {moved:.3g} where it changed nothing"
                )
            said.append(f"{what} leaves {name or 'the output'} as it was")
    return said


def cases(example: Example) -> Iterator[tuple[str, Example]]:
    """The call as it is, and padded."""
    yield "without padding" if example.keep is None else "as given", example
    if example.keep is None and (with_mask := padded(example)) is not None:
        yield "with padding", with_mask
