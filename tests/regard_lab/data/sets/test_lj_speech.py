"""LJSpeech out of the official folder."""

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import lj_speech
from tests.regard_lab.data.mini_hub import sound


def test_clips_of_the_official_folder(tmp_path: Path) -> None:
    (tmp_path / "wavs").mkdir()
    for name, samples in (("LJ001-0001", 3), ("LJ001-0002", 5)):
        (tmp_path / "wavs" / f"{name}.wav").write_bytes(sound(samples, samples))
    lines = ['LJ001-0001|He said "1455|he said "fourteen fifty-five', "LJ001-0002|Mr. X|Mister X"]
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    clips = lj_speech.from_folder(tmp_path)["train"]
    assert clips.texts == ['he said "fourteen fifty-five', "Mister X"]
    assert [clips.clip(index).tolist() for index in range(2)] == [[3] * 3, [5] * 5]
    (tmp_path / "wavs" / "LJ001-0002.wav").unlink()
    with pytest.raises(UserError, match=r"LJ001-0002.wav does not exist, but line 2 of metadata.csv names it"):
        lj_speech.from_folder(tmp_path)
    (tmp_path / "metadata.csv").write_text("LJ001-0001|only two\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"line 1 of .*metadata.csv has 2 fields"):
        lj_speech.from_folder(tmp_path)
