"""Tests of a real data set run where it is prepared, and are skipped elsewhere."""

import pytest

from regard_lab import data
from tests.paths import ROOT


def prepared(name: str) -> pytest.MarkDecorator:
    there = (data.folder_of(name, ROOT) / data.MANIFEST).exists()
    return pytest.mark.skipif(not there, reason=f"data/{name} is not prepared: python -m regard_lab.data fetch {name}")
