"""The real sets, where they are prepared at the root of the repository."""

import numpy as np

from regard_lab import data
from tests.regard_lab.data.prepared import ROOT, prepared


@prepared("imdb")
def test_imdb():
    splits = data.load("imdb", ROOT)
    assert data.checksum("imdb", ROOT) == "61b273dfd5ef37fd2594b3e413c0351722787166532877a979e34372836ede2e"
    counts = {name: np.bincount(split.labels).tolist() for name, split in splits.items()}
    assert counts == {"train": [11_250, 11_250], "validation": [1_250, 1_250], "test": [12_195, 12_381]}
    assert len({text for split in splits.values() for text in split.texts}) == 49_576  # of 50,000, so none stands twice


@prepared("mnist")
def test_mnist():
    splits = data.load("mnist", ROOT)
    assert data.checksum("mnist", ROOT) == "75f94cd0689b5f99d589c21ae27ef49e7133448d885219669e7b593000f2b551"
    assert {name: split.images.shape for name, split in splits.items()} == {
        "train": (55_000, 28, 28),
        "validation": (5_000, 28, 28),
        "test": (10_000, 28, 28),
    }
    assert splits["train"].labels[:5].tolist() == [5, 0, 4, 1, 9]  # as on every first page about MNIST
    assert np.bincount(splits["test"].labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.repeats_across(splits) == 0
