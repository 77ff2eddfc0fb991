"""Europarl with Anki's sentences: read out of what a user has, from a few made-up lines."""

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import europarl_anki


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "europarl-v7.es-en.en").write_text("One.\n\nTwo\u2028lines.\nThree.\nOne!\n", encoding="utf-8")
    (tmp_path / "europarl-v7.es-en.es").write_text("Uno.\n\nDos\u2028líneas.\nTres.\nOtro.\n", encoding="utf-8")
    (tmp_path / "spa.txt").write_text("Four.\tCuatro.\tCC-BY\nthree\tTRES\n", encoding="utf-8")
    return tmp_path


def test_europarl_and_anki_from_a_folder(folder, monkeypatch):
    monkeypatch.setattr(europarl_anki, "SIZES", {"validation": 1, "test": 1, "train": 2})
    splits = europarl_anki.from_folder(folder)
    pairs = {pair for split in splits.values() for pair in zip(split.sources, split.targets, strict=True)}
    # the empty pair is left out, and of equal English texts the first stays
    assert pairs == {
        ("One.", "Uno."),
        ("Two\u2028lines.", "Dos\u2028líneas."),
        ("Three.", "Tres."),
        ("Four.", "Cuatro."),
    }
    assert {part: len(split) for part, split in splits.items()} == {"validation": 1, "test": 1, "train": 2}


def test_what_is_wrong_with_a_folder_of_pairs_is_said(folder, monkeypatch):
    with pytest.raises(UserError, match="has 4 different pairs, 1,440,000 are needed"):
        europarl_anki.from_folder(folder)
    (folder / "spa.txt").write_text("no tab\n")
    with pytest.raises(UserError, match=r"line 1 of .* has no tab"):
        europarl_anki.from_folder(folder)
    (folder / "europarl-v7.es-en.es").write_text("Uno.\n")
    with pytest.raises(UserError, match=r"\.en has 5 lines and .*\.es 1"):
        europarl_anki.from_folder(folder)
    (folder / "europarl-v7.es-en.en").unlink()
    with pytest.raises(UserError, match="does not exist; the folder holds"):
        europarl_anki.from_folder(folder)
