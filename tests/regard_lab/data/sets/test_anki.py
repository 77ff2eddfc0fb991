"""Anki: every pair of the file is used, and translations of one sentence stay together."""

from pathlib import Path

import pytest

from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.data.sets import anki


def test_all_pairs_and_no_sentence_in_two_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("Go.", "Ve."), ("Go!", "Vete."), *((f"Text {number}.", f"Texto {number}.") for number in range(10))]
    folder = tmp_path / "spa-eng"
    folder.mkdir()
    (folder / "spa.txt").write_text("".join(f"{a}\t{b}\n" for a, b in rows), encoding="utf-8")
    with pytest.raises(UserError, match="has 12 pairs, the file of 13 May 2018 has 118,964"):
        anki.from_folder(tmp_path)
    monkeypatch.setattr(anki, "PAIRS", 12)
    monkeypatch.setattr(anki, "HELD_OUT", 2)
    splits = anki.from_folder(tmp_path)
    assert sorted(pair for part in splits.values() for pair in zip(part.sources, part.targets, strict=True)) == sorted(
        rows
    )
    assert data.repeats_across(splits) == 0
    assert all(len(splits[name]) in (2, 3) for name in ("validation", "test"))
    assert anki.from_folder(folder)["test"].sources == splits["test"].sources


def test_sizes_of_the_card_are_all_pairs() -> None:
    assert sum(anki.SIZES.values()) == anki.PAIRS
