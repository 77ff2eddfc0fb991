import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from regard_lab import models
from regard_lab.common.files import sha256
from regard_lab.data.packages import Package


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A model `tiny` whose package is there already, as if it had been fetched."""
    packages = tmp_path / "data" / ".packages"
    packages.mkdir(parents=True)
    wheel = packages / "pypi-tiny-1.0"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny/weights.txt", "0.5")
    module: Any = ModuleType("regard_lab.models.tiny")
    module.PACKAGE = Package("pypi", "tiny", "1.0", sha256(wheel))
    module.FILES = {"tiny/weights.txt": "weights.txt"}
    module.model = lambda folder: float((folder / "weights.txt").read_text())
    monkeypatch.setitem(sys.modules, "regard_lab.models.tiny", module)
    monkeypatch.setattr(models, "names", lambda: ["tiny"])
    return module
