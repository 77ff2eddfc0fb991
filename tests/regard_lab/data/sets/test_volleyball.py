"""Volleyball: annotation files that are made up, in the official layout."""

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import volleyball

LINES = [
    "20.jpg l-spike 128 72 128 72 spiking 0 0 64 72 standing",
    "5.jpg r_set 128 72 128 72 setting 0 0 64 72 blocking 640 360 64 72 moving",
    "5.jpg r_set 128 72 128 72 setting 0 0 64 72 blocking 640 360 64 72 moving",
]


def written(folder: Path) -> Path:
    for video in range(55):
        (folder / "videos" / str(video)).mkdir(parents=True)
        (folder / "videos" / str(video) / "annotations.txt").write_text("\n".join(LINES) + "\n\n")
    return folder


def test_videos_are_split_officially_and_frames_read_by_hand(tmp_path):
    splits = volleyball.from_folder(written(tmp_path))
    assert {part: len(scenes) for part, scenes in splits.items()} == {
        "train": 48,
        "validation": 30,
        "test": 32,
    }  # twice is once
    train = splits["train"]
    assert train.templates[:2].tolist() == [1, 1]
    assert [volleyball.ACTIVITIES[kind] for kind in train.activities[:2, 0]] == ["right set", "left spike"]  # by frame
    assert train.groups[:2, :4].tolist() == [[0, 0, 0, -2], [0, 0, -2, -2]]
    assert [volleyball.ACTIONS[kind] for kind in train.actions[0, :3]] == ["setting", "blocking", "moving"]
    assert train.boxes[0, 0].tolist() == [1500, 1500, 1000, 1000]
    large = next(n for n in range(len(train)) if train.templates[n] == 36 + 2)
    assert train.boxes[large, 0].tolist() == [1000, 1000, 667, 667]


def test_the_official_split_and_its_counts():
    videos = [set(videos) for videos in volleyball.SPLITS.values()]
    assert set.union(*videos) == set(range(55))
    assert sum(map(len, videos)) == 55
    assert sum(volleyball.CARD.source("folder").sizes.values()) == 4_830
    assert [name.split("_")[0].split("-")[0][0] for name in volleyball.OFFICIAL] == [
        name[0] for name in volleyball.ACTIVITIES
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("5.jpg r_sett 1 1 1 1 setting", "the activity of frame 5.jpg of video 3 is 'r_sett', expected one of r_set"),
        ("5.jpg r_set 1 1 1 1 sitting", "the action of frame 5.jpg of video 3 is 'sitting'"),
        ("5.jpg r_set 1 1 1 1 setting 4", "has 6 values after its activity, expected five per player"),
    ],
)
def test_what_cannot_be_read_is_refused(line, message):
    with pytest.raises(UserError, match=message):
        volleyball.frames_of(line, 3)


def test_a_folder_that_is_not_the_official_one_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"annotations.txt is missing: Volleyball has 55 such files"):
        volleyball.from_folder(tmp_path)
