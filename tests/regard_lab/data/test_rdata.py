"""R's binary format: character vectors by hand, and what is not read."""

import gzip
import struct
import zlib

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.rdata import Reader, character_vectors


def item(kind: int, *parts: bytes, flags: int = 0) -> bytes:
    return struct.pack(">i", kind | flags) + b"".join(parts)


def count(n: int) -> bytes:
    return struct.pack(">i", n)


def text(word: str) -> bytes:
    return item(9, count(len(word.encode())), word.encode())


def strings(*words: str) -> bytes:
    return item(16, count(len(words)), *map(text, words))


def named(kind: int, names: tuple[str, ...], *values: bytes) -> bytes:
    """A list or vector with its names, as R writes it: the values, then a pairlist of attributes."""
    tag = item(1, text("names"))
    attributes = item(2, tag, strings(*names), item(254), flags=0x400)
    return item(kind, count(len(values)), *values, attributes, flags=0x200)


HEADER = b"X\n" + struct.pack(">3i", 3, 0x040201, 0x030500) + count(5) + b"UTF-8"


def test_rs_character_vectors_by_hand():
    chunk = HEADER + strings("Emma", "«Ñ»") + b""
    packed = count(len(chunk)) + zlib.compress(chunk)
    place = item(13, count(2), count(3), count(len(packed)))
    names = HEADER + named(19, ("variables", "compressed"), named(19, ("emma",), place), item(10, count(1), count(1)))
    for squeeze in (zlib.compress, gzip.compress):
        assert character_vectors(b"***" + packed, squeeze(names)) == {"emma": ["Emma", "«Ñ»"]}


def test_what_is_not_read_of_r_is_refused():
    with pytest.raises(UserError, match="not R's binary format: it begins with b'A"):
        Reader(b"A\n")
    with pytest.raises(UserError, match="R's type 14 is not read here"):
        Reader(HEADER + item(14)).value()
    assert Reader(HEADER + item(9, count(-1))).value() == ""  # NA
