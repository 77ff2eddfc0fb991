"""Cells of these tests read scenes that are made up."""

import pytest

from projects.social_groups.data import fresh, splits
from tests.projects.social_groups import made_up


@pytest.fixture
def made_up_data(monkeypatch, tmp_path):
    """A few scenes in place of the prepared sets."""
    monkeypatch.setattr(splits.data, "load", made_up.load)
    splits._painted.cache_clear()
    fresh.made.cache_clear()
    monkeypatch.chdir(tmp_path)
    yield
    splits._painted.cache_clear()
