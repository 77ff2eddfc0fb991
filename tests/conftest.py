"""What tests of the library and of the projects share: the same draws in every run, alone and in any order, however busy the machine."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# As `make test` has it: sums in one order, and two test processes do not fight over two cores. torch reads it once.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

# torch remembers the functions that `with torch.device(…)` is about from the first such block on. transformers, and
# tests/far_device.py, patch some of them for a while: were the first block within that time, blocks of later tests
# would miss the real ones.
with torch.device("meta"):
    torch.empty(0)

# The same examples in every run, and no limit of time. `--hypothesis-profile=search` looks for new ones.
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("same", derandomize=True, **PATIENT)
settings.register_profile("search", derandomize=False, **PATIENT)
settings.load_profile("same")


def seed() -> None:
    """Python, NumPy and torch each begin from another seed in every process."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="module")
def _seeded_module() -> None:
    """What fixtures of a module draw does not depend on the tests before it."""
    seed()


@pytest.fixture(autouse=True)
def _seeded(_seeded_module: None) -> None:
    """What a test draws without a generator of its own does not depend on the tests before it."""
    seed()


# Tracing lines makes these take half as long again, and most of it falls on torch and Lightning. What of `libs` they
# reach, other tests reach too: `--cov-fail-under` holds without them.
UNTRACED = (
    "tests/certification/test_mechanisms.py",
    "tests/regard/test_fuzz.py",
    "tests/regard/adapters/test_huggingface_models.py",
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
