"""Social-CAD: Collective Activity with the social groups of Ehsanpour et al., annotations without pixels.

A group has two members or more; a person who is the only one with a group's number counts as an outsider here. The
official test sequences are the test split; `VALIDATION` is taken from the training sequences [our choice: the official
split has none].
"""

from collections import Counter, defaultdict
from pathlib import Path

from regard_lab.common.errors import UserError
from regard_lab.data.annotated_frames import Frame, scenes_of
from regard_lab.data.card import Card, Source
from regard_lab.data.scenes import Scenes

FORM = Scenes
# Numbers of the annotation files: actions from 1, social activities from 0, both in this order.
ACTIONS = ("none", "crossing", "waiting", "queueing", "walking", "talking")
ACTIVITIES = ACTIONS
TRAITS = tuple(f"action_{name}" for name in ACTIONS)
SEQUENCES = 44
TEST = frozenset((5, 6, 7, 8, 9, 10, 11, 15, 16, 25, 28, 29))
VALIDATION = frozenset((3, 14, 19, 26, 35, 42))
WIDE = frozenset((15, 20, 21, 22, 23, 24))  # sequences of 800 × 450 pixels; the others have 720 × 480
MOST_PERSONS, MOST_GROUPS = 11, 4
SIZES = {"train": 1_471, "validation": 301, "test": 775}
COLUMNS = 9  # frame, x1, y1, x2, y2, action, social activity, track, group

CARD = Card(
    name="social_cad",
    title="Social-CAD: Collective Activity with social groups (annotations, no pixels)",
    stands_in_for=None,
    licence="the authors' repository has no licence file; not redistributed here",
    citation=(
        "Choi, Shahid, Savarese: What are they doing? Collective activity classification using spatio-temporal relationship among people. 2009."
        " Social labels: Ehsanpour, Abedin, Saleh, Shi, Reid, Rezatofighi: Joint Learning of Social Groups, Individuals Action and Sub-group"
        " Activities in Videos. ECCV 2020."
    ),
    homepage="https://github.com/mahsaep/Social-human-activity-understanding-and-grouping",
    sources=(
        Source("folder", "social_CAD/1_annotations.txt … 44_annotations.txt, unzipped from social_CAD.zip", SIZES),
    ),
    note=(
        "2,547 key frames of 44 sequences, 13,044 boxes, 2,971 groups of two to four; 5,989 persons stand alone. The official test sequences are"
        " the test split, six training sequences the validation split."
    ),
)


def from_folder(folder: Path) -> dict[str, Scenes]:
    """Every annotated frame, by sequence and frame."""
    root = folder / "social_CAD" if (folder / "social_CAD").is_dir() else folder
    frames: dict[str, list[Frame]] = {"train": [], "validation": [], "test": []}
    for sequence in range(1, SEQUENCES + 1):
        path = root / f"{sequence}_annotations.txt"
        if not path.is_file():
            raise UserError(f"{path} is missing: Social-CAD has {SEQUENCES} such files")
        part = "test" if sequence in TEST else "validation" if sequence in VALIDATION else "train"
        frames[part] += frames_of(path.read_text(encoding="utf-8"), sequence)
    most = {"actions": len(ACTIONS), "persons": MOST_PERSONS, "groups": MOST_GROUPS}
    return {part: scenes_of(some, **most) for part, some in frames.items()}


def frames_of(text: str, sequence: int) -> list[Frame]:
    """The frames of one annotation file, in the order of their numbers."""
    by_frame: dict[int, list[list[int]]] = defaultdict(list)
    for number, line in enumerate(text.splitlines(), start=1):
        values = [int(value) for value in line.split()]
        if len(values) != COLUMNS:
            raise UserError(f"line {number} of sequence {sequence} has {len(values)} columns, expected {COLUMNS}")
        by_frame[values[0]].append(values)
    frames = []
    for _, rows in sorted(by_frame.items()):
        members: dict[int, list[int]] = defaultdict(list)
        for person, row in enumerate(rows):
            members[row[8]].append(person)
        groups = [group for group in members.values() if len(group) > 1]
        # In two groups a member's label differs: the group gets the most frequent one (the first of equals).
        activities = [Counter(rows[person][6] for person in group).most_common(1)[0][0] for group in groups]
        boxes = [(float(row[1]), float(row[2]), float(row[3]), float(row[4])) for row in rows]
        size = (800, 450) if sequence in WIDE else (720, 480)
        frames.append(Frame(sequence, size, boxes, [row[5] - 1 for row in rows], groups, activities))
    return frames
