"""Labelled images: their prepared form, and the IDX format of MNIST and its kin."""

import gzip
import hashlib
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regard_lab.common.errors import UserError


@dataclass(frozen=True, eq=False)
class Images:
    """One split: `images` (n, height, width) or (n, height, width, 3) uint8, `labels` (n,) int64.

    Prepared as `<split>_images.npy` and `<split>_labels.npy`.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice) -> "Images":
        return Images(self.images[rows], self.labels[rows])

    def keys(self) -> Iterator[bytes]:
        """One key per row; rows with the same key are duplicates."""
        return (hashlib.sha256(image.tobytes()).digest() for image in self.images)

    def files(self, split: str) -> Mapping[str, bytes]:
        """The prepared files of this split and their content."""
        return {f"{split}_images.npy": npy(self.images), f"{split}_labels.npy": npy(self.labels)}

    @classmethod
    def read(cls, folder: Path, split: str) -> "Images":
        """Read the two prepared files of a split."""
        return cls(np.load(folder / f"{split}_images.npy"), np.load(folder / f"{split}_labels.npy"))


def npy(array: NDArray[np.uint8] | NDArray[np.int64]) -> bytes:
    """The array as the content of a `.npy` file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def read_idx(content: bytes, name: str) -> NDArray[np.uint8]:
    """An IDX file of unsigned bytes, plain or gzipped: 0, 0, 8, the number of axes, each size as four bytes (big endian), the values.

    Format: LeCun, Cortes and Burges, "The MNIST database".

    Args:
        content: The file's bytes.
        name: What to call it in a message.

    Raises:
        UserError: The file has the wrong kind or length.
    """
    try:
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError) as error:
        raise UserError(f"{name} is not a whole gzip file: {error}") from error
    axes = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    start = 4 + 4 * axes
    if not axes or len(content) < start:
        raise UserError(
            f"{name} is not an IDX file of unsigned bytes: it starts with {content[:4].hex(' ') or 'nothing'}"
        )
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    if len(content) - start != math.prod(shape):
        raise UserError(
            f"{name} says that it holds {' × '.join(map(str, shape))} bytes, but {len(content) - start:,} follow"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def labelled(images: NDArray[np.uint8], labels: NDArray[np.uint8], name: str) -> Images:
    """Images with their labels; unequal counts are a `UserError`."""
    if len(images) != len(labels):
        raise UserError(f"{name} has {len(images):,} images but {len(labels):,} labels")
    return Images(images, labels.astype(np.int64))
