"""IMDB: out of its package, the hub and the folders of aclImdb."""

import json

import numpy as np
import pytest

from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.data.sets import imdb
from regard_lab.data.texts import Texts
from tests.regard_lab.data.fake_hub import FakeHub
from tests.regard_lab.data.prepared import ROOT, prepared
from tests.regard_lab.data.tiny_packages import REVIEWS


def test_imdb_from_a_package(tiny_imdb, root):
    assert data.prepare("imdb", root) == root / "data" / "imdb"
    splits = data.load("imdb", root)
    assert {name: len(split) for name, split in splits.items()} == {"train": 8, "validation": 4, "test": 8}
    assert all(np.bincount(split.labels).tolist() == [len(split) // 2] * 2 for split in splits.values())
    assert sorted(row for split in splits.values() for row in split.rows()) == sorted(REVIEWS)
    assert json.loads((root / "data/imdb/manifest.json").read_text())["repeats_across_splits"] == 0


def test_imdb_from_the_folders_of_aclimdb(root, tmp_path):
    for half in ("train", "test"):
        for kind in ("pos", "neg"):
            (tmp_path / half / kind).mkdir(parents=True)
            for at in range(10):
                (tmp_path / half / kind / f"{at}_7.txt").write_text(f"{half} {kind} {at} — «é»", encoding="utf-8")
    (tmp_path / "test/pos/3_7.txt").write_text("train pos 3 — «é»!", encoding="utf-8")
    data.prepare("imdb", root, "folder", tmp_path)
    splits = data.load("imdb", root, "folder")
    assert {name: np.bincount(split.labels).tolist() for name, split in splits.items()} == {
        "train": [9, 9],
        "validation": [1, 1],
        "test": [10, 10],
    }
    assert all(("pos" in text) == label for split in splits.values() for text, label in split.rows())
    assert json.loads((root / "data/imdb-folder/manifest.json").read_text())["repeats_across_splits"] == 1
    (tmp_path / "empty/train/pos").mkdir(parents=True)
    with pytest.raises(UserError, match=r"holds no neg/\*\.txt and pos/\*\.txt"):
        data.prepare("imdb", root, "folder", tmp_path / "empty")


def test_repeats_in_an_official_half_never_enter_validation():
    repeated = [(f"text {number // 2}", number // 2 % 2) for number in range(16)]
    train = Texts.of([*repeated, ("alone", 0), ("in test", 0), ("also alone", 1), ("in test too", 1)])
    splits = imdb.with_validation(train, Texts.of([("In test!", 0), ("In test too!", 1)]))
    assert sorted(splits["validation"].rows()) == [("alone", 0), ("also alone", 1)]
    assert list(splits["train"].rows()) == [*repeated, ("in test", 0), ("in test too", 1)]


def test_imdb_from_the_hub(root, monkeypatch, tiny_imdb):
    half = {"text": [f"review {at}" for at in range(20)], "label": [at // 10 for at in range(20)]}
    hub = FakeHub({"train": half, "test": {"text": ["t 1", "t 2"], "label": [0, 1]}}).install(monkeypatch)
    data.prepare("imdb", root, "hub")
    assert hub.asked == ["stanfordnlp/imdb"]
    splits = data.load("imdb", root, "hub")
    assert {name: np.bincount(split.labels).tolist() for name, split in splits.items()} == {
        "train": [9, 9],
        "validation": [1, 1],
        "test": [1, 1],
    }
    assert splits["test"].texts == ["t 1", "t 2"]
    assert data.expected_checksum("imdb", root, "hub") == data.checksum("imdb", root, "hub")


@prepared("imdb")
def test_imdb():
    splits = data.load("imdb", ROOT)
    assert data.checksum("imdb", ROOT) == "61b273dfd5ef37fd2594b3e413c0351722787166532877a979e34372836ede2e"
    counts = {name: np.bincount(split.labels).tolist() for name, split in splits.items()}
    assert counts == {"train": [11_250, 11_250], "validation": [1_250, 1_250], "test": [12_195, 12_381]}
    assert len({text for split in splits.values() for text in split.texts}) == 49_576  # of 50,000, so none stands twice
