"""A random subset of a split: a set's own order may have one class first, as IMDB's test reviews do."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def drawn(rows: Sequence[Item], size: int | None) -> list[Item]:
    """`size` of the rows, or all for `None`, without replacement and in an order that is the same each time."""
    order = np.random.default_rng(0).permutation(len(rows))[:size]
    return [rows[place] for place in order]
