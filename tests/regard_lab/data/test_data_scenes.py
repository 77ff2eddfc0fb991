"""Court and Plaza: the same bytes each time, made as their rules say; StatsBomb's moments from two made-up files."""

import hashlib
import io
import json
import tarfile

import numpy as np
import pytest

from regard_lab.common.errors import UserError
from regard_lab.common.files import combined_sha256
from regard_lab.data.crowds import HEADINGS_APART, SHARED, TRAITS, code_of, common, generate
from regard_lab.data.packages import Archive
from regard_lab.data.scenes import NO_GROUP, NOBODY, OUTSIDER, PLACES, UNIT, Scenes
from regard_lab.data.sets import court, plaza, statsbomb

WORLDS = [court.WORLD, plaza.WORLD]
TEMPLATES = range(5)


@pytest.fixture(scope="module", params=WORLDS, ids=lambda world: world.name)
def made(request):
    return request.param, generate(request.param, 0, 300, TEMPLATES)


def columns(scenes: Scenes) -> dict[str, np.ndarray]:
    return {name: scenes.traits[..., number] / UNIT for number, name in enumerate(TRAITS)}


def groups_of(scenes: Scenes):
    for scene, activities in enumerate(scenes.activities):
        for group in np.flatnonzero(activities != NO_GROUP):
            yield scene, np.flatnonzero(scenes.groups[scene] == group), int(activities[group])


@pytest.mark.slow
@pytest.mark.parametrize("module", [court, plaza], ids=["court", "plaza"])
def test_a_whole_set_has_the_bytes_that_its_card_pins(module):
    splits = module.from_package()
    files = {
        name: hashlib.sha256(content).hexdigest()
        for split, rows in splits.items()
        for name, content in rows.files(split).items()
    }
    assert combined_sha256(text for pair in files.items() for text in pair) == module.CARD.source("package").sha256


def test_a_scene_is_the_same_however_many_are_asked_for_and_another_in_another_split(made):
    world, scenes = made
    fewer, other = generate(world, 0, 20, TEMPLATES), generate(world, 1, 20, TEMPLATES)
    assert all(np.array_equal(array, scenes.arrays()[name][:20]) for name, array in fewer.arrays().items())
    assert not set(fewer.keys()) & set(other.keys())


@pytest.mark.parametrize(
    ("world", "digest"),
    [
        (court.WORLD, "09a46afea41ea026a31a6425ac2af4b528e91f46b27306cdc2eae5ee3245e030"),
        (plaza.WORLD, "fee7189d15c674b979375a7062e2eb52da284f50b813195c59be366755e0dbac"),
    ],
    ids=["court", "plaza"],
)
def test_the_first_scenes_have_the_bytes_they_always_had(world, digest):
    arrays = generate(world, 0, 20, TEMPLATES).arrays().values()
    assert hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest() == digest


def test_a_split_is_written_and_read_back(made, tmp_path):
    _, scenes = made
    for name, content in scenes[:3].files("test").items():
        (tmp_path / name).write_bytes(content)
    back = Scenes.read(tmp_path, "test")
    assert len(back) == 3
    assert all(np.array_equal(array, scenes.arrays()[name][:3]) for name, array in back.arrays().items())


def test_keys_forget_the_order_of_persons_and_what_they_look_like(made):
    _, scenes = made
    one = scenes[:1]
    turned = Scenes(one.boxes[:, ::-1], one.traits, one.actions, one.groups[:, ::-1], one.activities, one.templates)
    moved = one.boxes.copy()
    moved[0, np.flatnonzero(one.groups[0] != NOBODY)[0], 0] += 1
    other = Scenes(moved, one.traits, one.actions, one.groups, one.activities, one.templates)
    assert list(one.keys()) == list(turned.keys()) != list(other.keys())


def test_members_share_the_traits_of_their_activity_and_split_the_others(made):
    world, scenes = made
    seen = columns(scenes)
    for scene, members, activity in groups_of(scenes):
        for name, shared in zip(SHARED, code_of(world, activity), strict=False):
            positive = int((seen[name][scene, members] > 0).sum())
            half = {len(members) // 2, -(-len(members) // 2)}
            assert positive in ({0, len(members)} if shared else half)
    assert set(common(5, True, np.random.default_rng(0)).tolist()) in ({1.0}, {-1.0})


def test_members_are_engaged_and_outsiders_are_not_and_each_group_has_one_leader(made):
    _, scenes = made
    seen = columns(scenes)
    assert (seen["engaged"][scenes.groups >= 0] == 1).all()
    assert (seen["engaged"][scenes.groups == OUTSIDER] == -1).all()
    assert all((seen["leader"][scene, members] > 0).sum() == 1 for scene, members, _ in groups_of(scenes))


def test_the_leader_of_court_stands_on_the_side_that_the_activity_names():
    scenes = generate(court.WORLD, 0, 100, TEMPLATES)
    leader, x = columns(scenes)["leader"], scenes.boxes[..., 0] / PLACES
    for scene, members, activity in groups_of(scenes):
        (first,) = members[leader[scene, members] > 0]
        others = members[members != first]
        assert (x[scene, first] > x[scene, others].mean()) == (activity < 4)


def test_the_groups_of_plaza_have_headings_of_their_own():
    scenes = generate(plaza.WORLD, 0, 100, TEMPLATES)
    heading = columns(scenes)["heading"] * np.pi
    means: dict[int, list[float]] = {}
    for scene, members, _ in groups_of(scenes):
        turns = np.exp(1j * heading[scene, members])
        assert abs(turns.mean()) > 0.95
        means.setdefault(scene, []).append(float(np.angle(turns.mean())))
    for angles in means.values():
        apart = [abs(np.angle(np.exp(1j * (a - b)))) for n, a in enumerate(angles) for b in angles[:n]]
        assert all(angle > HEADINGS_APART / 2 for angle in apart)


def test_sizes_follow_the_requested_distribution():
    scenes = generate(court.WORLD, 3, 1_000, TEMPLATES)
    sizes = np.array([len(members) for _, members, _ in groups_of(scenes)])
    for size, share in court.WORLD.sizes.items():
        assert abs((sizes == size).mean() - share) < 4 * np.sqrt(share * (1 - share) / len(sizes))
    activities = scenes.activities[:, 0]
    for activity in range(8):  # what a group does says nothing of its size
        assert abs(sizes[activities == activity].mean() - 4) < 4 * np.sqrt(2 / (activities == activity).sum())


def test_nobody_stands_on_anybody_and_everybody_is_in_the_frame(made):
    _, scenes = made
    for boxes, groups in zip(scenes.boxes[:100], scenes.groups[:100], strict=True):
        places = boxes[groups != NOBODY][:, :2] / PLACES
        apart = np.hypot(*np.moveaxis((places[:, None] - places[None]) * [1, 0.6], -1, 0))
        assert apart[np.triu_indices(len(places), 1)].min() > 0.0649
        assert places.min() > 0
        assert places.max() < 1
        assert (boxes[groups == NOBODY] == 0).all()


def test_the_layouts_of_the_splits_are_different():
    for module in (court, plaza):
        drawn = [set(templates) for templates in module.TEMPLATES.values()]
        assert sum(map(len, drawn)) == len(set.union(*drawn))


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
