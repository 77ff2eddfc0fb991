"""Source files that a test changes while code that caches by their times looks on."""

import os
from pathlib import Path


def change(path: Path, old: str, new: str) -> None:
    """Replace words of a file, which must be there.

    The file's time always moves on by a second: a file system's clock ticks every few milliseconds, and Python's own
    cache of compiled files counts whole seconds, so that a change right after a first reading could pass unseen.
    """
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path} does not hold {old!r}"
    before = path.stat().st_mtime_ns
    path.write_text(text.replace(old, new), encoding="utf-8")
    later = max(path.stat().st_mtime_ns, before + 1_000_000_000)
    os.utime(path, ns=(later, later))
