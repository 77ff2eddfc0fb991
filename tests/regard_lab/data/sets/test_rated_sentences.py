"""Rated sentences out of their archive, and the real set where it is prepared."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.data.sets import rated_sentences
from tests.regard_lab.data.prepared import ROOT, prepared
from tests.regard_lab.data.tiny_packages import Registry


def test_rated_sentences_from_their_archive(registry: Registry, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive inside an archive, repeats in one kind and across kinds."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as archive:
        for kind, file in rated_sentences.KINDS.items():
            lines = [f"{number}\t{number / 10}\tThe {kind} no. {number}" for number in range(10)]
            content = "\n".join([*lines, "10\t-1\tthe movie, no. 3!"]).encode()
            member = tarfile.TarInfo(f"hutto/{file}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    package = registry.put("tiny-vader", {f"vader/{rated_sentences.INNER}": inner.getvalue(), "vader/README": b""})
    sizes = {
        f"{kind}_{part}": n
        for kind in rated_sentences.KINDS
        for part, n in [("train", 6), ("validation", 1), ("test", 3)]
    }
    first, folder = rated_sentences.CARD.sources
    card = replace(rated_sentences.CARD, packages=(package,), sources=(replace(first, sizes=sizes, sha256=""), folder))
    monkeypatch.setattr(rated_sentences, "CARD", card)
    data.prepare("rated_sentences", root)
    splits = data.load("rated_sentences", root)
    movie = [row for part in ("train", "validation", "test") for row in splits[f"movie_{part}"].rows()]
    assert sorted(movie) == [(f"The movie no. {number}", "", number / 10) for number in range(10)]


def test_a_rating_that_is_none_is_named() -> None:
    with pytest.raises(UserError, match=r"line 1 of x\.txt is not number, rating and text: '1"):
        rated_sentences.ratings("1\tgood\tGood film", "x.txt")


@prepared("rated_sentences")
def test_rated_sentences() -> None:
    splits = data.load("rated_sentences", ROOT)
    assert {name: len(split) for name, split in splits.items()} == rated_sentences.SIZES
    assert all(np.abs(split.scores).max() <= 4 for split in splits.values())
    assert data.repeats_across(splits) == 0
