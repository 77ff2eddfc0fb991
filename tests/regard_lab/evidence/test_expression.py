import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard_lab.common.errors import UserError
from regard_lab.evidence.expression import evaluate, names


def test_parameters_of_super_attention() -> None:
    assert evaluate("2 * (w**2 + w) + l**2 + l", {"w": 32, "l": 32}) == 3168
    assert names("2 * (w**2 + w) + l**2 + l") == {"w", "l"}


@pytest.mark.parametrize(("text", "value"), [("3 / 4", 0.75), ("-2 ** 2", -4), ("+1 - 2 * 3", -5), ("2e3", 2000)])
def test_arithmetic(text: str, value: float) -> None:
    assert evaluate(text, {}) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "w.__class__",
        "(1).real",
        "[1][0]",
        "1 if w else 2",
        "w < 2",
        "True",
        "'a' * 9",
        "1j",
        "lambda: 1",
        "7 // 2",
        "1 << 9",
        "~1",
        "f(2)",
        "(w := 2)",
        "",
        "1 +",
        "1\x00",
    ],
)
def test_anything_but_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        evaluate(text, {"w": 1.0})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1 / (w - w)", "no finite value"),
        ("10 ** 10 ** 10 ** 10", "no finite value"),
        ("(0 - w) ** (1 / 2)", "no real value"),
        ("2 * widht", "Did you mean 'width'"),
        ("1+" * 200 + "1", "at most 200 characters"),
    ],
)
def test_values_that_do_not_exist(text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        evaluate(text, {"w": 1.0, "width": 2.0})


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(0.5, 1e3))
def test_agrees_with_python(a: float, b: float, c: float) -> None:
    assert evaluate("a + b * (a - b) / c - -a", {"a": a, "b": b, "c": c}) == a + b * (a - b) / c - -a
