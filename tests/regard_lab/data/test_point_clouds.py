"""Point clouds: files of every kind give the same points, and a split comes back as it was written."""

from pathlib import Path

import numpy as np
import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.point_clouds import Clouds, lzf, of_size, read_pcd
from tests.regard_lab.data.round_trip import round_trip


def pcd(points: np.ndarray, kind: str) -> bytes:
    """A .pcd file of points (n, 3), with a field beside x, y and z."""
    count = len(points)
    head = ["# .PCD v0.7", "VERSION 0.7", "FIELDS x y intensity z", "SIZE 4 4 2 4", "TYPE F F U F", "COUNT 1 1 1 1"]
    head += [f"WIDTH {count}", "HEIGHT 1", "VIEWPOINT 0 0 0 1 0 0 0", f"POINTS {count}", f"DATA {kind}"]
    x, y, z = points.astype("<f4").T
    if kind == "ascii":
        data = "".join(f"{a} {b} 7 {c}\n" for a, b, c in points).encode()
    elif kind == "binary":
        table = np.zeros(count, [("x", "<f4"), ("y", "<f4"), ("i", "<u2"), ("z", "<f4")])
        table["x"], table["y"], table["z"] = x, y, z
        data = table.tobytes()
    else:
        plain = x.tobytes() + y.tobytes() + np.full(count, 7, "<u2").tobytes() + z.tobytes()
        packed = b"".join(
            bytes([len(part) - 1]) + part for part in (plain[at : at + 32] for at in range(0, len(plain), 32))
        )
        data = np.array([len(packed), len(plain)], "<u4").tobytes() + packed
    return "\n".join([*head, ""]).encode() + data


@pytest.mark.parametrize("kind", ["ascii", "binary", "binary_compressed"])
def test_every_kind_of_file_has_the_same_points(kind: str, tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    (tmp_path / "a.pcd").write_bytes(pcd(points, kind))
    assert np.allclose(read_pcd(tmp_path / "a.pcd"), points, atol=1e-6)


def test_compression_by_hand() -> None:
    """Three literal bytes; four, then twelve bytes from three before; a byte repeated by reading what was just written."""
    assert lzf(bytes([2]) + b"abc" + bytes([2 << 5, 2]), 7) == b"abcabca"
    assert lzf(bytes([2]) + b"abc" + bytes([7 << 5, 3, 2]), 15) == b"abc" * 5
    assert lzf(bytes([0]) + b"x" + bytes([1 << 5, 0]), 4) == b"xxxx"
    with pytest.raises(ValueError, match="hold 4 bytes, expected 5"):
        lzf(bytes([0]) + b"x" + bytes([1 << 5, 0]), 5)
    with pytest.raises(ValueError, match="2 bytes before their beginning"):
        lzf(bytes([0]) + b"x" + bytes([1 << 5, 2]), 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no head", "has no line DATA"),
        (pcd(np.zeros((4, 3)), "binary")[:-1], "is not a whole .pcd file"),
        (
            pcd(np.zeros((4, 3)), "binary").replace(b"DATA binary", b"DATA other"),
            "expected ascii, binary or binary_compressed",
        ),
        (pcd(np.zeros((4, 3)), "ascii").replace(b"FIELDS x", b"FIELDS r"), "expected x, y and z among them"),
    ],
)
def test_other_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.pcd").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_pcd(tmp_path / "a.pcd")


def test_points_are_drawn_and_filled_up() -> None:
    points = np.arange(15, dtype=np.float32).reshape(5, 3)
    few = of_size(points, 3, seed=1)
    assert len(few) == 3
    assert {tuple(row) for row in few} <= {tuple(row) for row in points}
    assert np.array_equal(few, of_size(points, 3, seed=1))
    assert of_size(points, 6, seed=1)[5].tolist() == [0, 0, 0]


def test_a_split_is_mapped(tmp_path: Path) -> None:
    split = Clouds(np.ones((3, 2, 3), np.float32), np.zeros((2, 4, 3), np.float32), np.array([0, 0, 1]), ["a/1", "b/2"])
    again = round_trip(split, tmp_path, "train")
    assert isinstance(again.partial, np.memmap)
    assert np.array_equal(again.partial, split.partial)
    assert list(again.keys()) == ["a/1", "a/1", "b/2"]
    (tmp_path / "train_names.txt").write_text("a/1\n", encoding="utf-8")
    with pytest.raises(UserError, match="3 views of 3, 2 objects of 1"):
        Clouds.read(tmp_path, "train")
