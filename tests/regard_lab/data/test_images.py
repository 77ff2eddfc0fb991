"""Images and the IDX format."""

import gzip

import numpy as np
import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.images import Images, labelled, read_idx
from tests.regard_lab.data.tiny_packages import idx


def test_idx_by_hand():
    content = idx(2, 1, 3, values=bytes([1, 2, 3, 250, 251, 252]))
    assert content[:8].hex(" ") == "00 00 08 03 00 00 00 02"
    array = read_idx(content, "file")
    assert array.tolist() == [[[1, 2, 3]], [[250, 251, 252]]]
    assert np.array_equal(read_idx(gzip.compress(content), "file"), array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it starts with nothing"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "it starts with 00 00 0d 01"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\0\0\x08\x02\0\0\0\x01", "not an IDX file"),
        (idx(2, 3, values=b"12345"), "holds 2 × 3 bytes, but 5 follow"),
        (idx(2, 3, values=b"1234567"), "holds 2 × 3 bytes, but 7 follow"),
        # Without a time of its own: the bytes are the name of the test, and two workers must collect the same names.
        (gzip.compress(b"x" * 100, mtime=0)[:-9], "not a whole gzip file"),
    ],
)
def test_another_kind_of_file_is_named(content, message):
    with pytest.raises(UserError, match=f"^digits.*{message}"):
        read_idx(content, "digits")


def test_images_come_back(tmp_path):
    images = Images(np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.array([3, 1]))
    for name, content in images.files("test").items():
        (tmp_path / name).write_bytes(content)
    back = Images.read(tmp_path, "test")
    assert np.array_equal(back.images, images.images)
    assert np.array_equal(back.labels, images.labels)
    assert (back.images.dtype, back.labels.dtype, len(back)) == (np.uint8, np.int64, 2)
    assert len(set(back.keys())) == 2


def test_unequal_numbers_are_refused():
    with pytest.raises(UserError, match="train has 2 images but 3 labels"):
        labelled(np.zeros((2, 1, 1), np.uint8), np.zeros(3, np.uint8), "train")
