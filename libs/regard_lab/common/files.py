"""Files that are complete or absent: atomic writes, JSON with one clear error, checksums."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from regard_lab.common.errors import UserError


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write `path` so that a reader sees the old file or the new one, never half of either, even when the disk fills up.

    Raises:
        UserError: The file could not be written; the message says whether the old one is intact.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        kept = "the old file is intact" if path.exists() else "nothing was left behind"
        raise UserError(f"could not write {len(data):,} bytes to {path}: {error.strerror or error}; {kept}") from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; keys keep their order, floats round-trip to the last bit."""
    write_atomically(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; one that is missing, truncated, not text or not a file raises one clear `UserError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; delete it and run again") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder and should be a file; delete it and run again") from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        size = len(text.encode())
        raise UserError(
            f"{path} is not complete JSON ({size:,} bytes, breaks off at line {error.lineno}); delete it and run again"
        ) from None


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_sha256(path: Path) -> str:
    """The SHA-256 of a text file, the same for Unix line ends and for those that Git writes on Windows."""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def combined_sha256(parts: Iterable[str]) -> str:
    """One SHA-256 for several texts in their order, each with its length, so that no two lists collide by concatenation."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}\n".encode())
    return digest.hexdigest()
