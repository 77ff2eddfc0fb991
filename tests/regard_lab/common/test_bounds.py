"""Bounds of configs' fields, at their ends."""

from dataclasses import dataclass

import pytest

from regard_lab.common.bounds import Share
from regard_lab.common.errors import UserError
from regard_lab.experiment.config import typed


@dataclass
class Config:
    dropout: Share


@pytest.mark.parametrize("value", [0, 0.0, 0.5, 1 - 2**-53])
def test_a_share_leaves_some(value: float) -> None:
    assert typed(Config, {"dropout": value}).dropout == value


@pytest.mark.parametrize(
    ("value", "message"),
    [(1, "config: dropout must be less than 1, got 1"), (-0.1, "must be greater than or equal to 0, got -0.1")],
)
def test_a_share_is_not_the_whole(value: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        typed(Config, {"dropout": value})
