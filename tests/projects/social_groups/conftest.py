"""Cells of these tests read scenes that are made up."""

import pytest

from projects.social_groups import data
from tests.projects.social_groups import made_up


@pytest.fixture
def made_up_data(monkeypatch, tmp_path):
    """A few scenes in place of the prepared sets."""
    monkeypatch.setattr(data.data, "load", made_up.load)
    data._painted.cache_clear()
    monkeypatch.chdir(tmp_path)
    yield
    data._painted.cache_clear()
