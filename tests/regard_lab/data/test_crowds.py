"""Generated crowds: the same bytes each time, made as their rules say."""

import hashlib

import numpy as np
import pytest

from regard_lab.common.files import combined_sha256
from regard_lab.data.crowds import SHARED, code_of, common, generate
from regard_lab.data.scenes import NOBODY, OUTSIDER, PLACES
from regard_lab.data.sets import court, plaza
from tests.regard_lab.data.crowd_scenes import TEMPLATES, columns, groups_of


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
