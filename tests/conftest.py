"""What tests of the library and of the projects share."""

import pytest


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of the test's own: what it registers is forgotten after it."""
    from regard import registry

    for name in registry.list_mechanisms():
        registry.mechanism_class(name)  # imported now, or the library's would be forgotten too
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
