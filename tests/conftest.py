"""What tests of the library and of the projects share."""

from pathlib import Path

import pytest

# Tracing lines makes these take half as long again, and most of it falls on torch and Lightning. What of `libs` they reach, the tests of the
# library and the lab reach too: `--cov-fail-under` holds without them.
UNTRACED = (
    "tests/projects/",
    "tests/certification/test_mechanisms.py",
    "tests/regard/test_fuzz.py",
    "tests/regard/test_huggingface_models.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Coverage is not measured in the slowest tests."""
    root = Path(__file__).parents[1]
    for item in items:
        if item.path.relative_to(root).as_posix().startswith(UNTRACED):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of the test's own: what it registers is forgotten after it."""
    from regard import registry

    for name in registry.list_mechanisms():
        registry.mechanism_class(name)  # imported now, or the library's would be forgotten too
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
