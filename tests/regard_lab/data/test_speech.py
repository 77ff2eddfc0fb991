"""Speech: clips come back as they were written, and only files of the expected kind are read."""

from pathlib import Path

import numpy as np
import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.speech import Speech, read_wave
from tests.regard_lab.data.mini_hub import sound
from tests.regard_lab.data.round_trip import round_trip


def test_clips_come_back_mapped(tmp_path: Path) -> None:
    parts = [np.arange(3, dtype=np.int16), np.empty(0, np.int16), np.arange(5, 9, dtype=np.int16)]
    speech = Speech.of([(f"clip {at}", f"téxt {at}", part) for at, part in enumerate(parts)])
    again = round_trip(speech, tmp_path, "train")
    assert isinstance(again.samples, np.memmap)
    assert [again.clip(index).tolist() for index in range(len(again))] == [part.tolist() for part in parts]
    assert (list(again.keys()), again.texts[2]) == (["clip 0", "clip 1", "clip 2"], "téxt 2")
    np.save(tmp_path / "train_ends.npy", np.array([3, 3, 8]))
    with pytest.raises(UserError, match="3 texts, 3 ends and 7 samples"):
        Speech.read(tmp_path, "train")


def test_waves() -> None:
    assert read_wave(sound(4, -2), "a.wav", 22_050).tolist() == [-2] * 4
    with pytest.raises(UserError, match=r"a.wav has 1 channels of 16 bits at 22,050 Hz, expected 1 of 16 at 16,000"):
        read_wave(sound(4, -2), "a.wav", 16_000)
    with pytest.raises(UserError, match=r"a.wav is not a WAV file"):
        read_wave(b"mp3", "a.wav", 16_000)
