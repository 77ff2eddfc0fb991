"""StatsBomb: moments of a match, from two made-up files."""

import io
import json
import tarfile

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.packages import Archive
from regard_lab.data.sets import statsbomb


def match(extra: str | None = None) -> Archive:
    """Three moments: a pass; a receipt that becomes a carry; a foul by a player of the other team."""

    def player(x, y, mine, actor=False, keeper=False):
        return {"location": [x, y], "teammate": mine, "actor": actor, "keeper": keeper}

    first = [player(60, 40, True, actor=True), player(0, 40, False, keeper=True)]
    second = [player(30, 20, True), player(121, 80, True, actor=True), player(10, 10, False)]
    third = [player(90, 20, True), player(45, 60, False, actor=True)]
    frames = [("a", first), ("c", second), ("b", second), ("d", third), *([(extra, third)] if extra else [])]
    kinds = {"a": "Pass", "b": "Ball Receipt*", "c": "Carry", "d": "Foul Committed"}
    return (
        [{"event_uuid": name, "freeze_frame": players, "visible_area": []} for name, players in frames],
        [{"id": name, "index": number, "type": {"name": kind}} for number, (name, kind) in enumerate(kinds.items())],
    )


def test_moments_of_a_match_by_hand():
    moments = statsbomb.moments_of(*match())
    assert [kind for _, kind in moments] == ["Pass", "Carry", "Foul Committed"]
    scenes = statsbomb.scenes_of(moments, first=7)
    assert scenes.activities[:, 0].tolist() == [0, 1, 3]
    assert scenes.groups[:, :4].tolist() == [[0, -1, -2, -2], [0, 0, -1, -2], [-1, 0, -2, -2]]
    assert scenes.boxes[0, :2, :2].tolist() == [[5000, 5000], [0, 5000]]
    assert scenes.boxes[1, 1, :2].tolist() == [10_000, 10_000]  # a step outside the pitch is its edge
    assert scenes.traits[0, :2].tolist() == [[1000, 1000, -1000], [-1000, -1000, 1000]]
    assert scenes.actions[0, :2].tolist() == [0, 1]
    assert scenes.templates.tolist() == [7, 8, 9]
    with pytest.raises(UserError, match="1 frames belong to no event, the first is e"):
        statsbomb.moments_of(*match(extra="e"))


def test_a_match_is_split_by_time(tmp_path, monkeypatch):
    monkeypatch.setattr(statsbomb, "SIZES", {"train": 1, "validation": 1, "test": 1})
    with tarfile.open(tmp_path / "kloppy", "w:gz") as archive:
        for name, content in zip(("360", "event"), match(), strict=True):
            data = json.dumps(content).encode()
            info = tarfile.TarInfo(f"kloppy-0/kloppy/tests/files/statsbomb_3788741_{name}.json")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    splits = statsbomb.from_package(Archive(statsbomb.CARD.packages[0], tmp_path / "kloppy"))
    assert [int(scenes.activities[0, 0]) for scenes in splits.values()] == [0, 1, 3]
