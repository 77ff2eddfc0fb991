"""How results stand: current, stale and why, or not run."""

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.status import standing, tables_of
from tests.regard_lab import toy

NAMED = ("toy", "lines", "laptop")


@pytest.fixture
def root(root: Path) -> Path:
    """The toy project with its result at laptop."""
    toy.reproduce(root, "laptop")
    return root


def test_which_tables_a_status_is_of(root):
    assert tables_of([], None, root) == [NAMED]
    assert tables_of([], "quick", root) == [("toy", "lines", "quick")]
    assert standing("toy", "lines", "quick", root).state == "not run"
    with pytest.raises(
        UserError, match="there is no table 'toy/line'; a table is named PAPER/TABLE, such as toy/lines"
    ):
        tables_of(["toy/line"], None, root)
