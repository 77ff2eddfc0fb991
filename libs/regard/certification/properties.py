"""The properties that a mechanism must have, one function each; the table at the end is what certification runs.

Each takes the `Subject` and returns one line with its numbers. It raises `Violation` where the property does not hold,
and `NotClaimed` where it does not apply; any other exception is a failure too.
"""

import copy
import inspect
import io
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from regard.certification.subject import (
    BATCH,
    CONTEXT_LENGTH,
    HEADS,
    LENGTH,
    LONGEST,
    WIDTH,
    Comparison,
    Inputs,
    NotClaimed,
    Subject,
    Violation,
    first,
    plain,
    recorded,
)
from regard.common.patterns import is_causal
from regard.mechanisms.softmax import naive_softmax

LENGTHS = (1, 63, LONGEST)


def shape_and_dtype(subject: Subject) -> str:
    """(b, n, w) -> (b, n, w) in the dtype of x, for an empty batch and for strided inputs too.

    The inputs are left as they were.
    """
    inputs = subject.inputs()
    for dtype in (torch.float32, torch.float64):
        for case, batch in (("a batch", BATCH), ("an empty batch", 0)):
            given = inputs.mapped(lambda value, batch=batch, dtype=dtype: value[:batch].to(dtype, copy=True))  # type: ignore[misc]
            before = given.mapped(torch.clone)
            out = given.through(subject.layer(dtype=dtype))
            if out.shape != given.x.shape or out.dtype != dtype:
                expected = f"expected {tuple(given.x.shape)} {dtype}"
                raise Violation(f"{case} gives {tuple(out.shape)} {out.dtype}, {expected}")
            same = before.x.equal(given.x) and (
                before.context is None or given.context is None or before.context.equal(given.context)
            )
            if not same:
                raise Violation("the layer writes into its input")
    layer, comparison = subject.layer(), Comparison()
    strided = inputs.mapped(lambda value: value.mT.contiguous().mT)
    comparison.equal(strided.through(layer), inputs.through(layer), "strided inputs")
    return f"({BATCH}, {LENGTH}, {WIDTH}) and (0, {LENGTH}, {WIDTH}), float32 and float64; {comparison}"


def batch_independence(subject: Subject) -> str:
    """A row's output is the same alone and in a batch with rows a thousand times larger."""
    layer, inputs, comparison = subject.layer(), subject.inputs(), Comparison()
    out = inputs.through(layer)
    for b in range(BATCH):
        comparison.equal(inputs.row(b).through(layer), out[b : b + 1], f"row {b} alone")
    larger = torch.ones(BATCH, 1, 1, dtype=torch.float64)
    larger[1:] = 1000
    scaled = inputs.mapped(lambda value: value * larger)
    comparison.equal(scaled.through(layer)[:1], out[:1], "row 0 beside rows a thousand times larger")
    return str(comparison)


def padding(subject: Subject) -> str:
    """Masked positions have no effect.

    A padded row equals its unpadded run, whatever masked positions hold, and a query that sees no key mixes to 0.
    """
    layer, comparison = subject.layer(), Comparison()
    padded = subject.padded()
    out = padded.through(layer)
    for b in range(BATCH):
        row = padded.row(b).unpadded()
        assert padded.x_mask is not None
        real = out[b : b + 1, padded.x_mask[b]]
        comparison.equal(real, row.through(layer), f"row {b} padded from {row.x.shape[1]} to {LENGTH} positions")

    scattered = subject.scattered()
    keep = scattered.x_mask
    assert keep is not None
    expected = scattered.filled(0).through(layer)
    if not expected.isfinite().all():
        raise Violation(f"masked positions give numbers that are not finite, {first(~expected.isfinite())}")
    _, arguments, keywords, mixed = recorded(layer, scattered)
    mask = scattered.context_mask if subject.cross else keep
    assert mask is not None
    for value in (1e9, torch.nan):
        filled = scattered.filled(value).through(layer)
        comparison.equal(filled[keep], expected[keep], f"masked positions of the inputs hold {value:g}")
        query = fill_masked(arguments[0], keywords["query_mask"], value) if "query_mask" in keywords else arguments[0]
        remixed = layer.mix(query, *(fill_masked(each, mask, value) for each in arguments[1:]), **keywords)
        actual, wanted = (each.movedim(1, 2)[keep] for each in (remixed, mixed))
        comparison.equal(actual, wanted, f"masked positions inside mix hold {value:g}")

    if subject.cross:
        assert scattered.context_mask is not None
        unseen = replace(scattered, context_mask=torch.zeros_like(scattered.context_mask))
        mixed = recorded(layer, unseen)[3]
        comparison.equal(mixed, torch.zeros_like(mixed), "queries that may see no key")
    return str(comparison)


def fill_masked(argument: Any, mask: Tensor, value: float) -> Any:
    """An argument of `mix`: `value` in the masked positions of (b, h, m, ·) and (b, m, ·), anything else as it is."""
    if not isinstance(argument, Tensor) or not argument.is_floating_point():
        return argument
    if argument.ndim == 4 and argument.shape[0] == mask.shape[0] and argument.shape[2] == mask.shape[1]:
        return argument.masked_fill(~mask[:, None, :, None], value)
    if argument.ndim == 3 and argument.shape[:2] == mask.shape:
        return argument.masked_fill(~mask[:, :, None], value)
    return argument


def causality(subject: Subject) -> str:
    """The outputs up to target position t are those of the prefix, whatever comes after t.

    The source of cross attention is seen whole.
    """
    if not is_causal(subject.pattern):
        raise NotClaimed("the pattern sees the future")
    layer, inputs, comparison = subject.layer(), subject.inputs(63), Comparison()
    other = subject.inputs(63, seed=2)
    out = inputs.through(layer)
    for t in (1, 31, 62):  # the number of positions in the prefix
        past = out[:, :t]
        future = replace(inputs, x=torch.cat((inputs.x[:, :t], 3 * other.x[:, t:]), 1))
        comparison.equal(future.through(layer)[:, :t], past, f"another future after {t} positions")
        prefix = replace(inputs, x=inputs.x[:, :t])
        comparison.equal(prefix.through(layer), past, f"the prefix of length {t}")
    return str(comparison)


def mixing(subject: Subject) -> str:
    """Outputs depend on positions other than their own.

    That is, on past positions (causal self), on all others (noncausal self), or on the source (cross).
    """
    # Mechanisms change by a seventh of their size and more; released causal ABC, whose outputs are their own values scaled, by a thousandth.
    n, smallest, where, least = 63, torch.inf, "", 0.01
    layer, inputs, other = subject.layer(), subject.inputs(n, n), subject.inputs(n, n, seed=2)
    out = inputs.through(layer)
    for t in (0, n // 2, n - 1):
        changed = torch.arange(n) < t if subject.pattern == "causal_self" else torch.arange(n) != t
        if not changed.any():
            continue  # the first position of causal self attention has no past
        if inputs.context is None:
            given = replace(inputs, x=torch.where(changed[:, None], other.x, inputs.x))
        else:
            assert other.context is not None
            given = replace(inputs, context=torch.where(changed[:, None], other.context, inputs.context))
        difference = (given.through(layer)[:, t] - out[:, t]).abs().amax(-1)
        change = (difference / out[:, t].abs().amax(-1)).min().item()  # of the row that changes least
        if not change > least:
            source = "source" if subject.cross else "past" if subject.pattern == "causal_self" else "sequence"
            raise Violation(
                f"the output at position {t} changes by {change:.1e} of its size with the other positions of the {source}, "
                f"less than {least:g}"
            )
        if change < smallest:
            smallest, where = change, f"position {t}"
    return f"smallest change {smallest:.1e} of the output ({where}), more than {least:g}"


def exactness(subject: Subject) -> str:
    """In the limit that the class claims, `mix` is softmax attention of the same q, k and v."""
    length = 20  # n = m; small, because an iterated pseudo-inverse must converge
    claimed = subject.cls.exact(length) if hasattr(subject.cls, "exact") else None
    if claimed is None:
        raise NotClaimed("the class names no limit in which it is softmax attention")
    limit = Subject(subject.cls, subject.pattern, dict(claimed))
    layer, inputs = limit.layer(), limit.inputs(length, length)
    _, arguments, _, mixed = recorded(layer, inputs)
    # A limit may be reached by iteration; outside it, the mechanisms differ from softmax attention by 1e-2 and more.
    comparison = Comparison(1e-6)
    expected = naive_softmax(*arguments[:3], causal=subject.pattern == "causal_self")
    comparison.equal(mixed, expected, f"n = m = {length} with {options_text(claimed)}")
    return str(comparison)


def gradients(subject: Subject) -> str:
    """The output and the gradients with respect to the inputs and every parameter are those of the plain reference."""
    layer, comparison = subject.layer(), Comparison()
    reference = plain(layer)
    for case, inputs in (("no mask", subject.inputs()), ("padded", subject.padded())):
        weights = torch.randn(inputs.x.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        if inputs.x_mask is not None:
            weights = weights * inputs.x_mask[:, :, None]  # masked positions have no meaning
        actual, expected = (gradients_of(each, inputs, weights) for each in (layer, reference))
        scale = max(1.0, *(gradient.abs().max().item() for gradient in expected.values()))
        for name, gradient in expected.items():
            comparison.equal(actual[name] / scale, gradient / scale, f"{case}, {name}")
    return str(comparison)


def gradients_of(layer: Any, inputs: Inputs, weights: Tensor) -> dict[str, Tensor]:
    """The output weighted by `weights`, and its sum's gradients by name.

    They are with respect to x, the context and every parameter; 0 where none arrives.
    """
    leaves = replace(inputs, x=inputs.x.clone().requires_grad_())
    if inputs.context is not None:
        leaves = replace(leaves, context=inputs.context.clone().requires_grad_())
    weighted = leaves.through(layer) * weights
    targets = {"gradient to x": leaves.x}
    if leaves.context is not None:
        targets["gradient to the context"] = leaves.context
    targets |= {f"gradient to {name}": parameter for name, parameter in layer.named_parameters()}
    if not weighted.requires_grad:
        raise Violation("the output has no gradient to anything")
    grads = torch.autograd.grad(weighted.sum(), list(targets.values()), allow_unused=True, materialize_grads=True)
    return {"the output": weighted.detach(), **dict(zip(targets, grads, strict=True))}


def determinism(subject: Subject) -> str:
    """One seed, one layer. Evaluation draws nothing; training draws from torch's generator only. Bit for bit."""
    inputs = subject.inputs()
    layer, twin = subject.layer(), subject.layer()
    for name, value in layer.state_dict().items():
        if not value.equal(twin.state_dict()[name]):
            raise Violation(f"two layers built under one seed differ in {name}")
    training = copy.deepcopy(layer).train()
    with torch.random.fork_rng(devices=[]):

        def under(seed: int, module: Any) -> Tensor:
            torch.manual_seed(seed)
            return inputs.through(module)

        pairs = {
            "two layers built under one seed": (under(7, layer), under(7, twin)),
            "two calls in evaluation, under two seeds": (under(7, layer), under(8, layer)),
            "two calls in training, under one seed": (under(7, training), under(7, training)),
        }
    for what, (a, b) in pairs.items():
        if not a.equal(b):
            raise Violation(f"{what}: outputs differ by {(a - b).abs().max().item():.1e}, expected the same bits")
    return "the same bits in evaluation and under one seed in training"


def state_dict(subject: Subject) -> str:
    """Everything that the output depends on is in the state dict.

    Another layer that loads it, strictly, gives the same bits.
    """
    inputs, layer, other = subject.inputs(), subject.layer(seed=0), subject.layer(seed=1)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    difference = (inputs.through(other) - inputs.through(layer)).abs().max().item()
    if difference != 0:
        raise Violation(f"a layer that loads the state dict of another differs from it by {difference:.1e}, expected 0")
    return f"{len(layer.state_dict())} entries saved and loaded, the same bits"


def compilation(subject: Subject) -> str:
    """`torch.compile(fullgraph=True, backend="aot_eager")` takes the layer, forward and backward, and changes nothing.

    The backward graph is traced with the forward one, but not run: aot_eager takes strides on trust, and torch's own
    rule for the gradient of `elu`, among others, has them wrong (the symptom: pytorch#120035; the default backend
    reshapes and is not concerned).
    """
    layer, inputs, comparison = subject.layer(), subject.padded(), Comparison()
    inputs = replace(inputs, x=inputs.x.requires_grad_())
    expected = inputs.through(layer)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.compiler.reset()  # compiled code left behind by another layer must not affect recompilation
    # Torch logs pages about a graph that it cannot trace; the exception says it in one line.
    logging.disable(logging.ERROR)
    try:
        comparison.equal(inputs.through(compiled), expected, "the output")
    finally:
        logging.disable(logging.NOTSET)
        torch.compiler.reset()
    return f"one graph; {comparison}"


def lengths(subject: Subject) -> str:
    """Any length works, including 1, 63 and 100, and n ≠ m in cross attention: `mix` equals its plain reference."""
    layer, comparison = subject.layer(), Comparison()
    reference = plain(layer)
    sources = (*LENGTHS[1:], LENGTHS[0]) if subject.cross else LENGTHS
    with torch.no_grad():
        for n, m in zip(LENGTHS, sources, strict=True):
            where = f"n = {n}, m = {m}" if subject.cross else f"n = {n}"
            inputs = subject.inputs(n, m, batch=1)
            comparison.equal(inputs.through(layer), inputs.through(reference), where)
    return str(comparison)


def parameter_formula(subject: Subject) -> str:
    """`parameter_count` of the class is the number of its layer's parameters, at two sizes, with biases and without."""
    if not hasattr(subject.cls, "parameter_count"):
        raise NotClaimed("the class has no parameter_count")
    signature = inspect.signature(subject.cls).parameters
    has_bias = "bias" in signature or any(p.kind is p.VAR_KEYWORD for p in signature.values())
    counts = []
    for width, heads in ((WIDTH, HEADS), (24, 3)):
        for bias in ({"bias": True}, {"bias": False}) if has_bias else ({},):
            sizes: dict[str, Any] = {"width": width, "heads": heads, **bias}
            layer = subject.layer(**sizes)
            counted = sum(parameter.numel() for parameter in layer.parameters())
            known = {"length": CONTEXT_LENGTH, "pattern": subject.pattern, **subject.options, **sizes}
            formula = subject.cls.parameter_count(**known)
            if formula != counted:
                raise Violation(f"{options_text(sizes)}: the formula says {formula}, the layer has {counted}")
            counts.append(str(counted))
    return f"{', '.join(counts)} parameters, as the formula says"


def half_precision(subject: Subject) -> str:
    """`mix` in bfloat16 and in float16 is near what it gives in float32 for the same q, k and v, for large scores too."""
    lines = []
    for dtype, size in ((torch.bfloat16, 1), (torch.float16, 1), (torch.float16, 4)):
        # Both layers see one set of rounded numbers, so that what is left is the rounding inside `mix`: of products,
        # weights, sums and the result, each by half an epsilon of the largest entry. At size 4 the scores reach 30:
        # their own rounding may cost 15 epsilons, and their exponential is no float16.
        tolerance = (4 if size == 1 else 16) * torch.finfo(dtype).eps
        layer = subject.layer(dtype=dtype)
        inputs = subject.padded().mapped(
            lambda value, dtype=dtype, size=size: value if value.dtype == torch.bool else (size * value).to(dtype)  # type: ignore[misc]
        )
        out, arguments, keywords, mixed = recorded(layer, inputs)
        name = str(dtype).removeprefix("torch.")
        if out.dtype != dtype or mixed.dtype != dtype:
            raise Violation(f"{name} inputs give {out.dtype} (inside, {mixed.dtype})")
        full = copy.deepcopy(layer).float()
        expected = full.mix(*map(to_float, arguments), **{key: to_float(value) for key, value in keywords.items()})
        assert inputs.x_mask is not None
        comparison = Comparison(tolerance)
        actual, wanted = (each.float().movedim(1, 2)[inputs.x_mask] for each in (mixed, expected))
        comparison.equal(actual, wanted, f"{name} at size {size}")
        lines.append(str(comparison))
    return "; ".join(lines)


def to_float(argument: Any) -> Any:
    """Half-precision tensors as float32, anything else as it is."""
    return argument.float() if isinstance(argument, Tensor) and argument.is_floating_point() else argument


def options_text(options: Any) -> str:
    """`rounds = 1, cluster_size = 20`, or `no options`."""
    return ", ".join(f"{key} = {value}" for key, value in options.items()) or "no options"


PROPERTIES: tuple[tuple[str, Callable[[Subject], str]], ...] = (
    ("shape and dtype", shape_and_dtype),
    ("batch independence", batch_independence),
    ("padding", padding),
    ("causality", causality),
    ("mixing", mixing),
    ("exactness", exactness),
    ("gradients", gradients),
    ("determinism", determinism),
    ("state dict", state_dict),
    ("compilation", compilation),
    ("lengths", lengths),
    ("parameter formula", parameter_formula),
    ("half precision", half_precision),
)
