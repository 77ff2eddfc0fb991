"""The maps that the model reads."""

import numpy as np
import pytest

from projects.social_groups.data.painting import channel_names, codes, maps
from regard_lab.data.crowds import TRAITS
from regard_lab.data.scenes import NOBODY, Scenes


def one_person(x=5000, y=5000, heading=500) -> Scenes:
    traits = np.zeros((1, 2, len(TRAITS)), dtype=np.int16)
    traits[0, 0, TRAITS.index("heading")] = heading
    traits[0, 0, 0] = 1000
    boxes = np.array([[[x, y, 1000, 2000], [0, 0, 0, 0]]], dtype=np.int16)
    return Scenes(
        boxes,
        traits,
        np.zeros((1, 2), np.int8),
        np.array([[0, NOBODY]], np.int8),
        np.zeros((1, 1), np.int8),
        np.zeros(1, np.int16),
    )


def test_codes_and_maps_by_hand():
    names = channel_names(TRAITS)
    code = codes(one_person(), TRAITS, 24)[0, 0]
    assert [code[names.index(name)] for name in ("presence", "arms", "heading_cos", "heading_sin")] == pytest.approx(
        [1, 1, 0, 1], abs=1e-6
    )
    painted = maps(one_person(x=5500, y=4500), TRAITS, (5, 10), 24, 0.0, (0,))[0]
    assert painted.shape == (24, 5, 10)
    assert painted[0, 2, 5] == pytest.approx(
        np.exp(-((0.05 / 0.1) ** 2)), abs=1e-5
    )  # its centre is half a pixel above the pixel's
    assert painted[0].max() == painted[0, 2, 5]
    assert (painted[17:] == 0).all()
    with pytest.raises(ValueError, match="15 traits need 17 channels, got channels = 16"):
        codes(one_person(), TRAITS, 16)


def test_who_stands_in_front_hides_who_stands_behind():
    near, far = one_person(y=5200), one_person(y=5000)
    both = Scenes(
        np.concatenate([far.boxes[:, :1], near.boxes[:, :1]], axis=1),
        np.concatenate([-far.traits[:, :1], near.traits[:, :1]], axis=1),
        *(np.zeros((1, 2), np.int8), np.zeros((1, 2), np.int8), np.zeros((1, 1), np.int8), np.zeros(1, np.int16)),
    )
    for scenes in (both, Scenes(*(array[:, ::-1] if array.ndim > 1 else array for array in both.arrays().values()))):
        painted = maps(scenes, TRAITS, (50, 50), 24, 0.0, (0,))[0]
        assert painted[1, 26, 25] > 0.9  # arms of the near one; those of the far one are −1


def test_noise_is_drawn_from_its_seed():
    one, again, other = (maps(one_person(), TRAITS, (5, 10), 24, 0.5, seed) for seed in ((1,), (1,), (2,)))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert abs(one[0, 20].std() - 0.5) < 0.15
