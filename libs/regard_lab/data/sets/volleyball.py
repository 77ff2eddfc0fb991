"""Volleyball: annotated middle frames of 4,830 clips, without pixels: players' boxes and actions, and what their team does.

All players are one group, whose activity is the clip's. Which of them take part has been annotated by others (Sendo &
Ukita 2019) and is not read here.
"""

from pathlib import Path

from regard_lab.common.errors import UserError
from regard_lab.data.annotated_frames import Frame, scenes_of
from regard_lab.data.card import Card, Source
from regard_lab.data.scenes import Scenes

FORM = Scenes
ACTIONS = ("waiting", "setting", "digging", "falling", "spiking", "blocking", "jumping", "moving", "standing")
ACTIVITIES = tuple(f"{side} {kind}" for side in ("right", "left") for kind in ("set", "spike", "pass", "win"))
OFFICIAL = (
    "r_set",
    "r_spike",
    "r-pass",
    "r_winpoint",
    "l_set",
    "l-spike",
    "l-pass",
    "l_winpoint",
)  # in the order of `ACTIVITIES`
TRAITS = tuple(f"action_{name}" for name in ACTIONS)
SPLITS = {
    "train": (1, 3, 6, 7, 10, 13, 15, 16, 18, 22, 23, 31, 32, 36, 38, 39, 40, 41, 42, 48, 50, 52, 53, 54),
    "validation": (0, 2, 8, 12, 17, 19, 24, 26, 27, 28, 30, 33, 46, 49, 51),
    "test": (4, 5, 9, 11, 14, 20, 21, 25, 29, 34, 35, 37, 43, 44, 45, 47),
}
FULL_HD = frozenset((2, 37, 38, 39, 40, 41, 44, 45))  # videos of 1,920 × 1,080 pixels; the others have 1,280 × 720
MOST_PERSONS = 12
SIZES = {"train": 2_152, "validation": 1_341, "test": 1_337}

CARD = Card(
    name="volleyball",
    title="Volleyball: players, actions and team activities (annotations, no pixels)",
    stands_in_for=None,
    licence="the official repository's code is BSD-2-Clause; for the data it asks that its two publications be cited",
    citation="Ibrahim, Muralidharan, Deng, Vahdat, Mori: A Hierarchical Deep Temporal Model for Group Activity Recognition. CVPR 2016.",
    homepage="https://github.com/mostafa-saad/deep-activity-rec",
    sources=(
        Source("folder", "videos/0/annotations.txt … videos/54/annotations.txt, as in the official archive", SIZES),
    ),
    note=(
        "4,830 frames of 55 matches with 7 to 12 players, the official split by matches. One line that the official archive has twice is read once."
        " Nothing says here who takes part in an activity: all players are its group."
    ),
)


def from_folder(folder: Path) -> dict[str, Scenes]:
    """Every annotated frame, by video and frame."""
    root = folder / "videos" if (folder / "videos").is_dir() else folder
    splits = {}
    for part, videos in SPLITS.items():
        frames: list[Frame] = []
        for video in videos:
            path = root / str(video) / "annotations.txt"
            if not path.is_file():
                raise UserError(f"{path} is missing: Volleyball has 55 such files, 0 to 54")
            frames += frames_of(path.read_text(encoding="utf-8"), video)
        splits[part] = scenes_of(frames, actions=len(ACTIONS), persons=MOST_PERSONS, groups=1)
    return splits


def frames_of(text: str, video: int) -> list[Frame]:
    """The frames of one annotation file, in the order of their names: `FRAME.jpg activity X Y W H action X Y W H action …`"""
    frames: dict[str, Frame] = {}
    size = (1920, 1080) if video in FULL_HD else (1280, 720)
    for line in text.splitlines():
        if not line.strip():
            continue
        name, activity, *rest = line.split()
        if len(rest) % 5:
            raise UserError(
                f"frame {name} of video {video} has {len(rest)} values after its activity, expected five per player"
            )
        players = [rest[start : start + 5] for start in range(0, len(rest), 5)]
        boxes = []
        for player in players:
            left, top, width, height = (float(value) for value in player[:4])
            boxes.append((left, top, left + width, top + height))
        actions = [_index(ACTIONS, player[4], f"action of frame {name} of video {video}") for player in players]
        label = _index(OFFICIAL, activity, f"activity of frame {name} of video {video}")
        frames[name] = Frame(video, size, boxes, actions, [range(len(players))], [label])
    return [frames[name] for name in sorted(frames, key=lambda name: int(name.partition(".")[0]))]


def _index(names: tuple[str, ...], name: str, what: str) -> int:
    if name not in names:
        raise UserError(f"the {what} is {name!r}, expected one of {', '.join(names)}")
    return names.index(name)
