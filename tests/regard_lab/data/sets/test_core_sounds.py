"""Core sounds: what is said, what is left out, and splits in which no two hold the same words."""

import gzip

import numpy as np
import pytest

from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.data.sets import core_sounds
from regard_lab.data.speech import Clip
from regard_lab.data.texts import normalised
from tests.paths import ROOT
from tests.regard_lab.data.prepared import prepared

LIST = """; a comment: no prompt

beep: [this is a simple beep tone]
letters/at: at [@]
silence/1: (1 second of silence)
time: The time is: now...
"""


def test_what_is_said_and_what_is_not():
    wanted = {"letters/at": "at", "time": "The time is: now..."}
    assert core_sounds.said(LIST.encode()) == core_sounds.said(gzip.compress(LIST.encode())) == wanted


def clip(name: str, text: str) -> Clip:
    return name, text, np.array([len(name)], dtype=np.int16)


def test_prompts_with_the_same_words_are_in_one_split():
    clips = [clip(f"prompt{place}", f"Words {place // 2}{'.' * (place % 2)}") for place in range(40)]
    splits = core_sounds.split(clips)
    assert {split: len(part) for split, part in splits.items()} == {"train": 32, "validation": 4, "test": 4}
    words = [{normalised(text) for text in part.texts} for part in splits.values()]
    assert sum(map(len, words)) == len(set.union(*words)) == 20
    again = core_sounds.split(reversed(clips))
    assert [part.names for part in again.values()] == [part.names for part in splits.values()]
    with pytest.raises(UserError, match="at least 5 different texts are needed, got 2"):
        core_sounds.split(clips[:4])


def test_a_folder_of_the_homepage(tmp_path, monkeypatch):
    monkeypatch.setattr(
        core_sounds, "decode_g722", lambda content, name: np.frombuffer(content, np.uint8).astype(np.int16)
    )
    monkeypatch.setattr(core_sounds, "HELD_OUT", 0.34)
    with pytest.raises(UserError, match=r"has no core-sounds-en\.txt"):
        core_sounds.from_folder(tmp_path)
    (tmp_path / "core-sounds-en.txt").write_text("a/one: One.\ntwo: Two.\nthree: Three.\nfour: Four.\n")
    with pytest.raises(UserError, match="none of 4 texts has its sound among 0"):
        core_sounds.from_folder(tmp_path)
    (tmp_path / "a").mkdir()
    for name in ("a/one", "two", "three", "beep"):
        (tmp_path / f"{name}.g722").write_bytes(name.encode())
    splits = core_sounds.from_folder(tmp_path)
    assert sorted(name for part in splits.values() for name in part.names) == ["a/one", "three", "two"]
    found = {name: part.clip(place).tobytes() for part in splits.values() for place, name in enumerate(part.names)}
    assert found["two"] == np.frombuffer(b"two", np.uint8).astype(np.int16).tobytes()


@prepared("core_sounds")
def test_core_sounds():
    splits = data.load("core_sounds", ROOT)
    assert sum(map(len, splits.values())) == 553
    minutes = sum(len(part.samples) for part in splits.values()) / core_sounds.RATE / 60
    assert minutes == pytest.approx(24.3, abs=0.1)
    words = [{normalised(text) for text in part.texts} for part in splits.values()]
    assert not words[0] & words[1] | words[0] & words[2] | words[1] & words[2]
