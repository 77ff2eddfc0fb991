"""Each mechanism's function, by its name."""

import pytest

import regard
from regard import functional
from regard.mechanisms.softmax import softmax


def test_functions_by_name() -> None:
    assert functional.softmax is softmax
    assert {"abc", "linformer", "softmax", "super_values"} <= set(dir(functional))
    for name in dir(functional):
        assert getattr(functional, name).__name__ == name
    with pytest.raises(AttributeError, match=r"no attribute 'optimised'; it has .*softmax"):
        functional.optimised  # noqa: B018


def test_every_mechanism_has_its_function_or_is_softmax_on_split_heads() -> None:
    assert set(regard.list_mechanisms()) - set(dir(functional)) == {"efficient", "optimised", "super"}
