"""Fits on made-up costs, and on the costs that CAB published."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.bench.fits import CAB_LENGTHS, crossing, efficiency_length, exponent, polynomial

# CAB's cost.xlsx: one layer on an A100, milliseconds and MB at 256 … 8192; its table gives ABC 1,877 (time) and 70 (memory).
VANILLA_MS = (0.472, 0.628, 0.721, 0.981, 3.67, 18.437)
ABC_MS = (0.648, 0.59, 0.602, 0.91, 1.006, 1.509)
VANILLA_MB = (81, 265, 952, 3604, 14020, 55300)
ABC_MB = (42, 80, 156, 308, 612, 1220)


def by_length(costs):
    return dict(zip(CAB_LENGTHS, costs, strict=True))


def test_published_efficiency_lengths():
    assert efficiency_length(by_length(VANILLA_MS), by_length(ABC_MS)) == pytest.approx(1877.26, abs=0.01)
    memory = efficiency_length(by_length(VANILLA_MB), by_length(ABC_MB), line_lengths=CAB_LENGTHS)
    assert memory == pytest.approx(69.51, abs=0.01)


def test_the_published_parabola():
    c, b, a = polynomial(CAB_LENGTHS, VANILLA_MB, 2)
    assert (a, b, c) == pytest.approx((8.1252e-4, 0.09382, 3.87), rel=1e-3)


@given(a=st.floats(1e-9, 1e-6), at=st.integers(300, 60_000), slope=st.floats(0, 1e-3))
def test_exact_curves_cross_where_they_were_made_to(a, at, slope):
    softmax = {n: a * n * n + slope * n + 1e-4 for n in CAB_LENGTHS}
    linear = {n: a * at * n + slope * n + 1e-4 for n in CAB_LENGTHS}  # a n² = a · at · n at n = at, and at 0
    assert efficiency_length(softmax, linear) == pytest.approx(at, rel=1e-3)


def test_no_efficiency_length():
    parabola = {n: 1e-8 * n * n for n in CAB_LENGTHS}
    line = {n: 1e-5 * n for n in CAB_LENGTHS}
    assert efficiency_length({**parabola, 128: 5.0}, line) == pytest.approx(1000)  # other lengths do not count
    assert efficiency_length({n: t for n, t in parabola.items() if n != 8192}, line) is None
    assert efficiency_length(parabola, {n: t for n, t in line.items() if n != 512}) is None
    downwards = {n: 1e-3 * n - 1e-8 * n * n for n in CAB_LENGTHS}  # meets the line, but from above
    assert efficiency_length(downwards, {n: 0.05 + t for n, t in line.items()}) is None
    assert efficiency_length({n: 1 + t for n, t in parabola.items()}, dict.fromkeys(CAB_LENGTHS, 0.5)) is None


def test_a_polynomial_needs_its_points():
    with pytest.raises(ValueError, match="degree 2 needs 3 lengths, got 2"):
        polynomial([1, 2], [1.0, 2.0], 2)


def test_crossing_is_the_last_one():
    assert crossing({128: 0.5, 256: 2.0}) == pytest.approx(128 * 2**0.5)
    assert crossing({256: 2.0, 128: 1.5, 512: 0.5, 1024: 2.0}) == pytest.approx(512 * 2**0.5)
    assert crossing({128: 0.5, 256: 2.0, 512: 0.5, 1024: 2.0}) == pytest.approx(512 * 2**0.5)
    assert crossing({128: 1.0, 256: 3.0}) == 128
    assert crossing({128: 2.0, 256: 0.9}) is None
    assert crossing({}) is None


def test_growth():
    assert exponent({n: 3.0 * n**1.5 for n in (128, 512, 1024)}) == pytest.approx(1.5)
