"""Point clouds in parts and whole: the prepared form of completion, and the files of the Point Cloud Library (.pcd)."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regard_lab.common.errors import UserError

HEAD = 4096  # bytes, within which a file's head ends


@dataclass(frozen=True, eq=False)
class Clouds:
    """One split: `partial` (n, p, 3) and `complete` (m, q, 3) float32; view i is of the object `objects[i]`, whose name is `names[objects[i]]`.

    Prepared as `<split>_partial.npy` and `<split>_complete.npy`, which are mapped and not read, `<split>_objects.npy` and `<split>_names.txt`.
    """

    partial: NDArray[np.float32]
    complete: NDArray[np.float32]
    objects: NDArray[np.int64]
    names: list[str]

    def __len__(self) -> int:
        return len(self.partial)

    def keys(self) -> Iterator[str]:
        """One key per view, from its object alone."""
        return (self.names[index] for index in self.objects.tolist())

    def files(self, split: str) -> Mapping[str, bytes]:
        """The prepared files of this split and their content."""
        named = {
            f"{split}_partial.npy": npy(self.partial),
            f"{split}_complete.npy": npy(self.complete),
            f"{split}_objects.npy": npy(self.objects),
        }
        return {**named, f"{split}_names.txt": "".join(f"{name}\n" for name in self.names).encode()}

    @classmethod
    def read(cls, folder: Path, split: str) -> "Clouds":
        """Read a prepared split; its points stay in their files until they are used."""
        partial, complete = (np.load(folder / f"{split}_{name}.npy", mmap_mode="c") for name in ("partial", "complete"))
        objects = np.load(folder / f"{split}_objects.npy")
        names = (folder / f"{split}_names.txt").read_text(encoding="utf-8").splitlines()
        if len(partial) != len(objects) or len(complete) != len(names):
            counts = f"{len(partial):,} views of {len(objects):,}, {len(complete):,} objects of {len(names):,}"
            raise UserError(f"{folder}: the files of {split} do not match: {counts}")
        return cls(partial, complete, objects, names)


def npy(array: NDArray[np.float32] | NDArray[np.int64]) -> bytes:
    """An array as the content of a `.npy` file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def of_size(points: NDArray[np.float32], size: int, seed: int) -> NDArray[np.float32]:
    """`size` of the points (n, 3) in a random order fixed by the seed; padded with zeros if too few, as in PoinTr."""
    chosen = points[np.random.default_rng(seed).permutation(len(points))[:size]]
    return np.concatenate([chosen, np.zeros((size - len(chosen), 3), np.float32)])


def read_pcd(path: Path) -> NDArray[np.float32]:
    """The points (n, 3) of a .pcd file, whose numbers are written out (`ascii`), `binary` or `binary_compressed`.

    Format: "The PCD (Point Cloud Data) file format", pointclouds.org.

    Raises:
        UserError: There is no such file, it is of another kind, or it is not whole.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist")
    content = path.read_bytes()
    at = content.find(b"DATA ", 0, HEAD)
    end = content.find(b"\n", at) + 1
    if at < 0 or not end:
        raise UserError(f"{path} is not a .pcd file: it has no line DATA")
    head = {
        words[0]: words[1:] for line in content[:end].decode("ascii", "replace").splitlines() if (words := line.split())
    }
    try:
        fields, count = head["FIELDS"], int(head["POINTS"][0])
        kinds = list(zip(head["TYPE"], head["SIZE"], head.get("COUNT", ["1"] * len(fields)), strict=True))
        types = np.dtype(
            [
                (name, f"<{kind.lower()}{size}", int(times))
                for name, (kind, size, times) in zip(fields, kinds, strict=True)
            ]
        )
        missing = {"x", "y", "z"} - set(fields)
        if missing:
            raise UserError(f"{path} has the fields {' '.join(fields)}, expected x, y and z among them")
        match head["DATA"][0]:
            case "ascii":
                rows = np.loadtxt(io.BytesIO(content[end:]), dtype=np.float32, ndmin=2).reshape(count, -1)
                return np.ascontiguousarray(rows[:, [fields.index(name) for name in "xyz"]])
            case "binary":
                table = np.frombuffer(content, types, count, offset=end)
                columns = [table[name].reshape(count) for name in "xyz"]
            case "binary_compressed":
                packed, size = (int(number) for number in np.frombuffer(content, "<u4", 2, offset=end))
                columns = in_columns(lzf(content[end + 8 : end + 8 + packed], size), types, count)
            case other:
                raise UserError(f"{path} has its data as {other!r}, expected ascii, binary or binary_compressed")
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(f"{path} is not a whole .pcd file: {error}") from error
    return np.stack([column.astype(np.float32) for column in columns], axis=1)


def in_columns(content: bytes, types: np.dtype[np.void], count: int) -> list[NDArray[np.float32]]:
    """x, y and z of uncompressed data, which hold one field after the other."""
    columns, start = {}, 0
    for name in types.names or ():
        kind = types[name]
        columns[name] = np.frombuffer(content, kind, count, offset=start).reshape(count, -1)[:, 0]
        start += kind.itemsize * count
    return [columns[name] for name in "xyz"]


def lzf(content: bytes, size: int) -> bytes:
    """Uncompressed data of LZF (Lehmann's liblzf): a byte below 32 is followed by one more literal bytes than it says, a larger one repeats."""
    out, at = bytearray(), 0
    while at < len(content):
        control = content[at]
        at += 1
        if control < 32:
            out += content[at : at + control + 1]
            at += control + 1
            continue
        length = control >> 5
        if length == 7:
            length += content[at]
            at += 1
        back = ((control & 31) << 8 | content[at]) + 1
        at += 1
        start = len(out) - back
        if start < 0:
            raise ValueError(f"compressed data refer to {-start} bytes before their beginning")
        for index in range(start, start + length + 2):  # may read what it has just written
            out.append(out[index])
    if len(out) != size:
        raise ValueError(f"compressed data hold {len(out):,} bytes, expected {size:,}")
    return bytes(out)
