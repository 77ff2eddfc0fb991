"""Files are whole or not there, JSON comes back to the last bit, and lists of texts do not collide."""

import errno
import hashlib
import json
import math
from pathlib import Path

import pytest

from regard_lab.common import files
from regard_lab.common.errors import UserError
from regard_lab.common.files import combined_sha256, read_json, sha256, text_sha256, write_atomically, write_json


@pytest.mark.parametrize("content", ["«text»\n", b"\x00\xff"])
def test_what_is_written_is_there_and_nothing_else(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "new" / "folder" / "file"
    write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert [one.name for one in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("before", ["old", None])
def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, before: str | None
) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_text(before)

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, step, full)
    kept = "nothing was left behind" if before is None else "the old file is intact"
    with pytest.raises(UserError, match=f"could not write 1,003 bytes to .*/file: No space left on device; {kept}"):
        write_atomically(path, "a" * 1003)
    assert (path.read_text() if path.exists() else None) == before
    assert len(list(tmp_path.iterdir())) == (before is not None)


def test_json_keeps_the_order_of_keys_the_letters_and_every_bit(tmp_path: Path) -> None:
    value = {"z": 0.1 + 0.2, "a": [5e-324, 1e308, -0.0], "ä": "«»"}
    write_json(tmp_path / "file", value)
    text = (tmp_path / "file").read_text(encoding="utf-8")
    assert "«»" in text
    assert text.endswith("}\n")
    back = read_json(tmp_path / "file")
    assert list(back) == ["z", "a", "ä"]
    assert back == value
    assert math.copysign(1, back["a"][2]) == -1


def test_json_has_no_word_for_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "file", {"loss": math.nan})
    assert list(tmp_path.iterdir()) == []


def test_a_cut_or_missing_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(UserError, match="file does not exist"):
        read_json(path)
    path.write_text(json.dumps({"ä": [1, 2]}, indent=1, ensure_ascii=False)[:-2], encoding="utf-8")
    size = path.stat().st_size
    with pytest.raises(UserError, match=rf"is not complete JSON \({size} bytes, breaks off at line 5\); delete it"):
        read_json(path)


def test_checksums(tmp_path: Path) -> None:
    """The digest of "abc" is that of FIPS 180-2."""
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert combined_sha256(["ab", "c"]) == hashlib.sha256(b"2:ab\n1:c\n").hexdigest()
    lists = [["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], ["c", "ab"], ["ab\n1:c"], []]
    assert len({combined_sha256(parts) for parts in lists}) == len(lists)


def test_what_is_no_json_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes("größe".encode("latin-1"))
    with pytest.raises(UserError, match="latin is not UTF-8 text"):
        read_json(tmp_path / "latin")
    with pytest.raises(UserError, match="is a folder and should be a file"):
        read_json(tmp_path)


def test_the_checksum_of_a_text_is_that_of_its_lines(tmp_path: Path) -> None:
    for name, content in {"unix": b"a: 1\nb: 2\n", "windows": b"a: 1\r\nb: 2\r\n", "other": b"a: 1\nb: 3\n"}.items():
        (tmp_path / name).write_bytes(content)
    assert text_sha256(tmp_path / "unix") == text_sha256(tmp_path / "windows") == sha256(tmp_path / "unix")
    assert text_sha256(tmp_path / "other") != text_sha256(tmp_path / "unix")
