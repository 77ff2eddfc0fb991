"""A train half and a test half become three splits that share no image."""

import numpy as np
import pytest

from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.data.halves import three_splits
from regard_lab.data.images import Images


def images(*values: int) -> Images:
    """A 1 × 1 picture a value, labelled by its place."""
    return Images(np.array(values, np.uint8).reshape(-1, 1, 1), np.arange(len(values)))


def test_halves_share_no_image():
    splits = three_splits(images(1, 7, 2, 5, 2, 3, 1, 4, 5), images(7, 8, 7), 2, "toy")
    assert splits["test"].images.ravel().tolist() == [7, 8, 7]
    assert splits["validation"].images.ravel().tolist() == [4, 5]
    assert splits["train"].images.ravel().tolist() == [
        1,
        2,
        2,
        3,
        1,
    ]  # 7 is in test, 5 in validation; its own repeats stay
    assert splits["train"].labels.tolist() == [0, 2, 4, 5, 6]
    assert data.repeats_across(splits) == 0
    with pytest.raises(UserError, match="toy's train half has 3 images, too few to keep 3"):
        three_splits(images(1, 2, 3), images(4), 3, "toy")
