"""Sounds as exhibits: 16 bits that come back, and what is no sound."""

import numpy as np
import pytest

from regard_lab.common.sounds import content, encode, is_sound, seconds
from regard_lab.data.speech import read_wave


def test_a_sound_comes_back_with_what_is_too_loud_cut_off():
    text = encode(np.array([0.0, 0.5, -1.0, 3.0]), 8_000)
    assert read_wave(content(text), "it", 8_000).tolist() == [0, 16384, -32767, 32767]
    assert is_sound(text)
    assert not is_sound("iVBORw0KGgo")
    assert not is_sound(3)
    assert seconds(text) == 4 / 8_000


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros((2, 3))])
def test_what_is_no_sound_is_refused(samples):
    with pytest.raises(ValueError, match="a sound has samples"):
        encode(samples, 8_000)
