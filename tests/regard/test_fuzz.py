"""Every function and every layer on inputs nobody wrote a test for: the right result, or one clear error.

Right: the shape and type of the values, equal to the plain reference in float64; masked places may hold anything; a NaN
or an infinity in a real place stays in its batch row and never reaches the past, and what is not NaN is right. Nothing
to look at (m = 0, all masked) gives zeros, nothing to compute (b = 0, n = 0) an empty result.
"""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import regard
from regard import functional
from regard.common.patterns import Pattern
from regard.registry import mechanism_class
from tests.regard.fuzzing import (
    BAD,
    DTYPES,
    FUNCTIONS,
    LENGTHS,
    PLACES,
    WRONG_OPTIONS,
    Function,
    Sizes,
    certified,
    laid_out,
    layer_cases,
    sizes,
    wrong_masks,
    wrong_tensors,
)
from tests.regard.vectors import draw, masks

quick = settings(max_examples=25)
TOLERANCE = {torch.float64: 1e-8, torch.float32: 5e-4, torch.bfloat16: 0.1, torch.float16: 0.02}

functions = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
layers = pytest.mark.parametrize(("name", "pattern"), layer_cases())


def assert_right(out: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    """Shape, type, and values wherever `out` is finite; it is finite wherever `expected` is."""
    assert out.shape == expected.shape
    assert out.dtype == dtype
    known = expected.isfinite()
    assert out[known].isfinite().all()
    assert not out[~known].isfinite().any()
    largest = expected[known].abs().max().clamp(min=1).item() if known.any() else 1.0
    torch.testing.assert_close(out[known].double(), expected[known].double(), rtol=0, atol=TOLERANCE[dtype] * largest)


@functions
@quick
@given(st.data())
def test_a_function_is_its_definition(function: Function, data: st.DataObject) -> None:
    s, causal = data.draw(sizes(function)), function.causal and data.draw(st.booleans())
    s = s if not causal else Sizes(s.b, s.h, s.n, s.n, s.d, s.e, s.dtype)
    options = function.options(s, causal)
    q, k, v = (
        laid_out(draw(s.b, s.h, length, width, seed=i, dtype=s.dtype), data.draw(st.sampled_from(PLACES)))
        for i, (length, width) in enumerate(((s.n, s.d), (s.m, s.d), (s.m, s.e)))
    )
    mask = data.draw(masks(s.b, s.m))
    dirty, clean = [k, v], [k, v]
    if mask is not None:
        bad = data.draw(st.sampled_from((*BAD, 6e4)))
        dirty, clean = ([x.masked_fill(~mask[:, None, :, None], fill) for x in (k, v)] for fill in (bad, 0.0))
        options |= {"key_mask": mask}
        if function.query_mask and s.n == s.m:
            options |= {"query_mask": mask}
    out, right = function.fast(q, *dirty, **options), function.reference(q, *clean, **options)
    if function.places and mask is not None and s.n == s.m:
        assert out.shape == right.shape
        out, right = (x.movedim(2, 1)[mask] for x in (out, right))
    assert_right(out, right, s.dtype)


@functions
@quick
@given(st.data())
def test_a_nan_stays_where_it_is_seen(function: Function, data: st.DataObject) -> None:
    s, causal = data.draw(sizes(function, least=1)), function.causal and data.draw(st.booleans())
    s = s if not causal else Sizes(s.b, s.h, s.n, s.n, s.d, s.e, s.dtype)
    options = function.options(s, causal)
    names, lengths = "qkv", (s.n, s.m, s.m)
    clean = [
        draw(s.b, s.h, m, w, seed=i, dtype=s.dtype)
        for i, (m, w) in enumerate(zip(lengths, (s.d, s.d, s.e), strict=True))
    ]
    which = data.draw(st.integers(0, 2))
    row, head, place = (data.draw(st.integers(0, size - 1)) for size in clean[which].shape[:3])
    bad = data.draw(st.sampled_from(BAD))
    dirty = [x.clone() for x in clean]
    dirty[which][row, head, place, 0] = bad
    out, right = function.fast(*dirty, **options), function.reference(*clean, **options)
    others = [i for i in range(s.b) if i != row]
    assert_right(out[others], right[others], s.dtype)
    if causal:
        assert_right(out[row, :, :place], right[row, :, :place], s.dtype)
    if function.chooses:  # whoever is chosen in its place is right too
        return
    own, wrong = out[row], function.reference(*dirty, **options)[row]
    near = TOLERANCE[s.dtype] * right.abs().max().clamp(min=1)
    fits = ((own - right[row]).abs() <= near) | ((own - wrong).abs() <= near)
    assert fits[own.isfinite()].all()
    if bad != bad and (names[which] == "q" or s.n == s.m):  # the row itself is spoilt, and says so
        assert not own[head, place, 0].isfinite()


def layer_inputs(
    pattern: Pattern, data: st.DataObject, dtype: torch.dtype = torch.float64, least: int = 0
) -> dict[str, Any]:
    """x, and the context and masks that the pattern takes; width 8."""
    b, n, m = (
        data.draw(st.sampled_from([length for length in lengths if length >= least]))
        for lengths in ((0, 1, 3), LENGTHS, LENGTHS)
    )
    inputs = {"x": draw(b, n, 8, seed=1, dtype=dtype), "x_mask": data.draw(masks(b, n))}
    if pattern.endswith("cross"):
        inputs |= {"context": draw(b, m, 8, seed=2, dtype=dtype), "context_mask": data.draw(masks(b, m))}
    return inputs


def filled(inputs: dict[str, Any], value: float) -> dict[str, Any]:
    """The inputs with `value` in their masked places."""
    given = dict(inputs)
    for name in ("x", "context"):
        if (mask := given.get(f"{name}_mask")) is not None:
            given[name] = given[name].masked_fill(~mask[:, :, None], value)
    return given


@layers
@quick
@given(st.data())
def test_a_layer_is_its_definition(name: str, pattern: Pattern, data: st.DataObject) -> None:
    layer = certified(name, pattern)
    inputs = layer_inputs(pattern, data)
    plain = copy.copy(layer)
    plain.mix = plain.naive
    real = inputs["x_mask"] if inputs["x_mask"] is not None else torch.ones(inputs["x"].shape[:2], dtype=torch.bool)
    out = layer(**filled(inputs, data.draw(st.sampled_from((*BAD, 1e30)))))
    assert out.shape == inputs["x"].shape
    assert out.dtype == torch.float64
    assert out.isfinite().all()
    if 0 not in inputs["x"].shape and 0 not in inputs.get("context", inputs["x"]).shape:
        assert_right(out[real], plain(**filled(inputs, 0.0))[real], torch.float64)


@layers
@quick
@given(st.data())
def test_a_layers_nan_stays_where_it_is_seen(name: str, pattern: Pattern, data: st.DataObject) -> None:
    layer = certified(name, pattern)
    inputs = layer_inputs(pattern, data, least=1)
    clean = layer(**filled(inputs, 0.0))
    which = data.draw(st.sampled_from([name for name in ("x", "context") if name in inputs]))
    row, place = (data.draw(st.integers(0, size - 1)) for size in inputs[which].shape[:2])
    dirty = filled(inputs, 0.0)
    dirty[which] = dirty[which].clone()
    dirty[which][row, place, data.draw(st.integers(0, 7))] = data.draw(st.sampled_from(BAD))
    out = layer(**dirty)
    others = [i for i in range(len(out)) if i != row]
    assert_right(out[others], clean[others], torch.float64)
    if layer.causal:
        assert_right(out[row, :place], clean[row, :place], torch.float64)


@layers
def test_a_layer_in_other_types(name: str, pattern: Pattern) -> None:
    layer = certified(name, pattern)
    x, also = draw(2, 9, 8, seed=1), {"context": draw(2, 7, 8, seed=2)} if pattern.endswith("cross") else {}
    expected = layer(x, **also)
    for dtype in DTYPES:
        other = copy.deepcopy(layer).to(dtype)
        out = other(x.to(dtype), **{key: value.to(dtype) for key, value in also.items()})
        assert (out.shape, out.dtype) == (x.shape, dtype)
        assert out.isfinite().all()
    single = copy.deepcopy(layer).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = single(x.float(), **{key: value.float() for key, value in also.items()})
    assert out.shape == x.shape
    assert (out.double() - expected).abs().max() < 0.3 * expected.abs().max().clamp(min=1)


def refused(call: Callable[[], Any], *told: str) -> None:
    """One ValueError or TypeError, whose message tells what it is about."""
    with pytest.raises((ValueError, TypeError)) as error:
        call()
    for words in told:
        assert words in str(error.value), f"{error.value} does not tell {words}"


@pytest.mark.parametrize("name", regard.list_mechanisms())
def test_options_that_cannot_be(name: str) -> None:
    cls = mechanism_class(name)
    takes, good = inspect.signature(cls).parameters, {"width": 8, "heads": 2, **cls.example}
    for option, value in WRONG_OPTIONS:
        told = str(value) if option in takes else "takes no option"
        refused(lambda option=option, value=value: regard.build(name, **{**good, option: value}), option, told)


@layers
def test_inputs_that_cannot_be(name: str, pattern: Pattern) -> None:
    layer = certified(name, pattern).float()
    x, mask = torch.zeros(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
    good = {"x": x, "x_mask": mask}
    good |= {"context": x, "context_mask": mask} if layer.cross else {}
    for what in [what for what in good if not what.endswith("mask")]:
        for bad, told in wrong_tensors(good[what]):
            told = "needs a context" if bad is None and what == "context" else told
            refused(lambda what=what, bad=bad: layer(**{**good, what: bad}), what, told)
    for what in [what for what in good if what.endswith("mask")]:
        for bad, told in wrong_masks(mask):
            refused(lambda what=what, bad=bad: layer(**{**good, what: bad}), what, told)


@functions
def test_arguments_that_cannot_be(function: Function) -> None:
    s = Sizes(2, 2, 5, 5, 4, 4, torch.float32)
    q, k, v = (draw(2, 2, 5, 4, seed=i, dtype=torch.float32) for i in range(3))
    good = {"q": q, "k": k, "v": v, **function.options(s, causal=False)}
    for what in "qkv":
        for bad, told in list(wrong_tensors(q))[: -1 if what == "v" else None]:  # v may be narrower
            refused(lambda what=what, bad=bad: function.fast(**{**good, what: bad}), told)
    for bad, told in wrong_masks(torch.ones(2, 5, dtype=torch.bool)):
        refused(lambda bad=bad: function.fast(**{**good, "key_mask": bad}), "key_mask", told)
    takes = inspect.signature(getattr(functional, function.name)).parameters
    for option, value in WRONG_OPTIONS:
        if option in takes:
            refused(lambda option=option, value=value: function.fast(**{**good, option: value}), option, str(value))
    arrays = {name: array for name, array in good.items() if isinstance(array, Tensor) and name not in "qkvx"}
    for name in [name for name, array in arrays.items() if array.is_floating_point()]:
        optional = name in takes and takes[name].default is None
        for bad, told in list(wrong_tensors(good[name]))[1 if optional else 0 :]:
            refused(lambda name=name, bad=bad: function.fast(**{**good, name: bad}), name, told)


def test_arguments_of_the_functions_that_are_no_attention() -> None:
    layer, square = certified("s4d", "causal_self").float(), draw(5, 5, seed=0, dtype=torch.float32)
    cases = {
        "s4d": {"u": torch.zeros(2, 5, 8), "skip": layer.skip, **layer.system()},
        "super_values": {"v": torch.zeros(2, 2, 5, 4), "weight": square, "bias": square[0]},
    }
    fine = {("v", -1), ("bias", 0)}  # values of another width, and no bias
    for function, good in cases.items():
        for name, array in good.items():
            wrong = list(wrong_tensors(array.detach()))
            for bad, told in [case for i, case in enumerate(wrong) if not {(name, i), (name, i - len(wrong))} & fine]:
                refused(
                    lambda f=function, name=name, bad=bad, good=good: getattr(functional, f)(**{**good, name: bad}),
                    told,
                )
