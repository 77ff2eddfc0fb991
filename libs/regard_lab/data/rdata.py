"""Character vectors from the data of an R package (`Rdata.rdb` and `Rdata.rdx`), without R.

Both hold what R's `serialize` writes (big-endian "XDR", R Internals, section 1.8), compressed by zlib. Only the types
that occur in such data are read: lists, pairlists, symbols, integers, logicals and character vectors; anything else
raises a `UserError`.
"""

import struct
import zlib
from typing import Any

from regard_lab.common.errors import UserError

PAIRLIST = 2
ATTRIBUTES, TAG = 0x200, 0x400


def character_vectors(rdb: bytes, rdx: bytes) -> dict[str, list[str]]:
    """The character vectors of a package by name; missing strings are empty."""
    index = Reader(zlib.decompress(rdx, 47)).value()  # 47: zlib's own header or gzip's
    vectors = {}
    for name, (offset, length) in index["variables"].items():
        chunk = rdb[offset : offset + length]  # four bytes with the unpacked length, then zlib
        vectors[name] = Reader(zlib.decompress(chunk[4:])).value()
    return vectors


class Reader:
    """Reads one serialised value. Lists with names become dicts, vectors lists."""

    def __init__(self, content: bytes) -> None:
        if content[:2] != b"X\n":
            raise UserError(f"not R's binary format: it begins with {content[:2]!r}")
        self.content, self.offset = content, 2
        self.symbols: list[str] = []
        version, _, _ = self.integers(3)
        if version == 3:
            self.take(self.integers(1)[0])  # the encoding's name

    def take(self, length: int) -> bytes:
        self.offset += length
        return self.content[self.offset - length : self.offset]

    def integers(self, count: int) -> list[int]:
        return list(struct.unpack(f">{count}i", self.take(4 * count)))

    def value(self) -> Any:
        """The next value."""
        flags = self.integers(1)[0]
        kind = flags & 0xFF
        match kind:
            case 254:
                return None
            case 1:  # a symbol: its name, which later references count
                self.symbols.append(self.value())
                return self.symbols[-1]
            case 255:
                return self.symbols[(flags >> 8 or self.integers(1)[0]) - 1]
            case 9:
                length = self.integers(1)[0]
                return self.take(length).decode("utf-8") if length >= 0 else ""
            case 2:
                return self.pairs(flags)
            case 10 | 13:
                elements: Any = self.integers(self.integers(1)[0])
            case 16 | 19:
                elements = [self.value() for _ in range(self.integers(1)[0])]
            case _:
                raise UserError(f"R's type {kind} is not read here")
        names = (self.value() or {}).get("names") if flags & ATTRIBUTES else None
        return dict(zip(names, elements, strict=True)) if names else elements

    def pairs(self, flags: int) -> dict[str, Any]:
        """A pairlist as a dict, by its tags."""
        pairs: dict[str, Any] = {}
        while flags & 0xFF == PAIRLIST:
            if flags & ATTRIBUTES:
                self.value()
            tag = self.value() if flags & TAG else str(len(pairs))
            pairs[tag] = self.value()
            flags = self.integers(1)[0]
        return pairs
