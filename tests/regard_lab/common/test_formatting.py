import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard_lab.common.formatting import label, number, parts, signed, step


def test_labels() -> None:
    assert label({"attention": "smyrf", "rounds": 2, "cluster_size": 32}) == "smyrf, rounds 2, cluster size 32"
    assert label({"heads": 4, "dense": True, "rate": 0.5}) == "heads 4, dense yes, rate 0.5"
    assert parts({"attention": "super"}) == ("super", "")
    assert parts({"heads": 1, "kind": "a"}) == ("heads 1", "kind a")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (4224, None, "4,224"),
        (78.0, None, "78"),
        (0.12345, None, "0.1235"),
        (71.96, 1, "72.0"),
        (-3.14159, None, "−3.142"),
        (-0.001, 2, "0.00"),
        (0.0, None, "0"),
        (1234567.5, None, "1.235e+06"),
        (99999.4, None, "99,999"),
        (-2e-9, None, "−2.000e-09"),
        (float("-inf"), None, "−inf"),
    ],
)
def test_numbers(value: float, digits: int | None, text: str) -> None:
    assert number(value, digits) == text


def test_signs() -> None:
    assert [signed(x, 1) for x in (1.26, -1.26, 0.04, -0.04)] == ["+1.3", "−1.3", "0.0", "0.0"]


@given(st.floats(-1e9, 1e9))
def test_four_significant_figures_are_kept(value: float) -> None:
    assert float(number(value).replace("−", "-").replace(",", "")) == pytest.approx(value, rel=6e-4)


def test_percentages_differ_by_points() -> None:
    assert (step("%"), step("MiB")) == ("points", "MiB")
