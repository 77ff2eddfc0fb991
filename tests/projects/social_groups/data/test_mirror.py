"""A mirror exchanges left and right and nothing else."""

import numpy as np

from projects.social_groups.analyses import rules
from projects.social_groups.analyses.shortcuts import WORLDS
from projects.social_groups.data.mirror import chosen, mirrored, other_side
from projects.social_groups.data.painting import codes, maps
from regard_lab.data.crowds import TRAITS, generate
from regard_lab.data.scenes import NOBODY
from regard_lab.data.sets import court, plaza


def test_the_rules_read_the_mirrored_scene_as_its_mirrored_label_says():
    for module in (court, plaza):
        scenes = generate(module.WORLD, 5, 40, range(3))
        turned = mirrored(scenes, TRAITS, module.ACTIVITIES)
        shown, x = codes(turned, TRAITS, 24), rules.centres_x(turned)
        for n in range(40):
            for group in range(int(turned.groups[n].max()) + 1):
                members = frozenset(np.flatnonzero(turned.groups[n] == group).tolist())
                said = rules.activity_of(WORLDS[module.CARD.name], shown[n], x[n], members)
                assert said == turned.activities[n, group]


def test_a_mirrored_scene_is_painted_as_the_mirrored_picture():
    scenes = generate(court.WORLD, 5, 3, range(3))
    turned = mirrored(scenes, TRAITS, court.ACTIVITIES)
    one, other = (maps(part, TRAITS, (12, 20), 24, 0.0, (0,)) for part in (scenes, turned))
    cosine = 1 + TRAITS.index("heading")
    flipped = one[..., ::-1].copy()
    flipped[:, cosine] *= -1
    assert np.allclose(other, flipped, atol=1e-4)
    assert (turned.boxes[scenes.groups == NOBODY] == 0).all()


def test_twice_is_nothing_and_only_chosen_rows_change():
    scenes = generate(court.WORLD, 5, 4, range(3))
    turned = mirrored(scenes, TRAITS, court.ACTIVITIES)
    twice = mirrored(turned, TRAITS, court.ACTIVITIES)
    heading = TRAITS.index("heading")
    for name, array in scenes.arrays().items():
        if name == "traits":  # −1 and 1 of π are one heading
            apart = np.abs(twice.traits.astype(int) - array)
            assert (np.delete(apart, heading, axis=-1) == 0).all()
            assert set(np.unique(apart[..., heading])) <= {0, 2000}
        else:
            assert np.array_equal(getattr(twice, name), array)
    half = chosen(scenes, turned, np.array([True, False, True, False]))
    assert np.array_equal(half.boxes[0], turned.boxes[0])
    assert np.array_equal(half.activities[1], scenes.activities[1])
    assert [other_side(name) for name in ("right spike", "left win", "talking")] == [
        "left spike",
        "right win",
        "talking",
    ]
