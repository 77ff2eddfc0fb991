"""Social-CAD: annotation files that are made up, in the official layout."""

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import social_cad

LINES = [
    "1\t0\t0\t72\t48\t5\t4\t1\t1",
    "1\t72\t0\t144\t48\t5\t4\t2\t1",
    "1\t360\t240\t432\t480\t3\t2\t3\t2",
    "11\t0\t0\t72\t48\t6\t5\t1\t1",
]


def written(folder: Path, lines: list[str]) -> Path:
    (folder / "social_CAD").mkdir()
    for sequence in range(1, 45):
        (folder / "social_CAD" / f"{sequence}_annotations.txt").write_text("\r\n".join(lines) + "\r\n")
    return folder


def test_sequences_are_split_officially_and_frames_read_by_hand(tmp_path):
    splits = social_cad.from_folder(written(tmp_path, LINES))
    assert {part: len(scenes) for part, scenes in splits.items()} == {
        "train": 2 * 26,
        "validation": 2 * 6,
        "test": 2 * 12,
    }
    assert set(splits["test"].templates.tolist()) == social_cad.TEST
    assert not social_cad.TEST & social_cad.VALIDATION
    train = splits["train"]
    assert train.groups[0, :4].tolist() == [0, 0, -1, -2]
    assert train.groups[1, :2].tolist() == [-1, -2]  # alone, so in no group
    assert train.activities[0].tolist() == [4, -1, -1, -1]
    assert train.actions[0, :3].tolist() == [4, 4, 2]
    assert train.boxes[0, 0].tolist() == [500, 500, 1000, 1000]
    wide = next(n for n in range(len(train)) if train.templates[n] == 20)
    assert train.boxes[wide, 0].tolist() == [450, 533, 900, 1067]


def test_whose_labels_differ_has_the_most_frequent_one():
    (frame,) = social_cad.frames_of("\n".join(["1 0 0 9 9 5 4 1 1", "1 9 0 18 9 6 5 2 1", "1 18 0 27 9 6 5 3 1"]), 1)
    assert frame.activities == [5]
    assert frame.actions == [4, 5, 5]


def test_a_folder_that_is_not_the_official_one_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"1_annotations.txt is missing: Social-CAD has 44 such files"):
        social_cad.from_folder(tmp_path)
    with pytest.raises(UserError, match="line 2 of sequence 3 has 8 columns, expected 9"):
        social_cad.frames_of("1 0 0 9 9 5 4 1 1\n1 0 0 9 9 5 4 1", 3)


def test_the_card_has_the_official_counts():
    sizes = social_cad.CARD.source("folder").sizes
    assert sum(sizes.values()) == 2_547
    assert sizes["test"] == 775
    assert len(social_cad.TRAITS) == len(social_cad.ACTIONS) == 6
