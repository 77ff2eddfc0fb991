"""Series, pairs and R's data: by hand, and read back as they were written."""

import gzip
import struct
import zlib

import numpy as np
import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.pairs import Pairs
from regard_lab.data.rdata import Reader, character_vectors
from regard_lab.data.series import Series, filled, in_time, means_of
from regard_lab.data.sets import appliances, austen, household_power, libreoffice_help


def write(form, folder, split):
    for name, content in form.files(split).items():
        (folder / name).write_bytes(content)
    return type(form).read(folder, split)


def test_means_over_hours_by_hand():
    times = np.array([3600, 3660, 7200, 18_000])  # two minutes, one, none for two hours, one
    values = np.array([[1.0, 5.0], [3.0, np.nan], [np.nan, 6.0], [9.0, 7.0]])
    hourly = means_of(times, values, 3600, ["a", "b"])
    assert hourly.times.tolist() == [3600, 7200, 10_800, 14_400, 18_000]
    assert hourly.values.tolist() == [[2, 5], [2, 6], [2, 6], [2, 6], [9, 7]]  # a missing hour holds the one before it
    with pytest.raises(UserError, match="must begin with a known value"):
        filled(np.array([1.0]), np.array([False]))


def test_splits_follow_each_other_in_time(tmp_path):
    series = Series(np.arange(10, dtype=np.float32)[:, None], np.arange(10), ["a"])
    parts = in_time(series, 0.6, 0.2)
    assert {split: part.times.tolist() for split, part in parts.items()} == {
        "train": [0, 1, 2, 3, 4, 5],
        "validation": [6, 7],
        "test": [8, 9],
    }
    again = write(parts["test"], tmp_path, "test")
    assert np.array_equal(again.values, parts["test"].values)
    assert (again.times.tolist(), again.columns, list(again.keys())) == ([8, 9], ["a"], ["8", "9"])


def test_series_that_do_not_belong_together_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"has no test.npy, test-times.npy, test-columns.json"):
        Series.read(tmp_path, "test")
    write(Series(np.zeros((2, 1), np.float32), np.arange(2), ["a"]), tmp_path, "test")
    (tmp_path / "test-columns.json").write_text('["a", "b"]')
    with pytest.raises(UserError, match="there are 2 times and 2 columns"):
        Series.read(tmp_path, "test")


def test_household_power_by_hand():
    lines = ["Date,Time,power,volts"]
    lines += [f"16/12/2006,{hour:02}:{minute:02}:00,{hour},2" for hour in range(10) for minute in (0, 30)]
    lines[2] = "16/12/2006,00:30:00,?,"  # missing, in both ways that the set has
    splits = household_power.hourly("\n".join(lines), ",")
    assert {split: part.values[:, 0].tolist() for split, part in splits.items()} == {
        "train": [0, 1, 2, 3, 4, 5],
        "validation": [6, 7],
        "test": [8, 9],
    }
    assert splits["train"].columns == ["power", "volts"]
    assert splits["train"].times[0] == 1_166_227_200  # 2006-12-16


def test_appliances_by_hand():
    lines = ['"date","Appliances","T1","rv1","rv2"']
    lines += [f'"2016-01-11 17:{10 * step:02}:00","  {step}","1.5","9","9"' for step in range(5)]
    splits = appliances.table("\r\n".join(lines))
    assert splits["train"].columns == ["Appliances", "T1"]  # without the random ones
    assert splits["train"].values.tolist() == [[0, 1.5], [1, 1.5], [2, 1.5]]
    assert np.diff(splits["train"].times).tolist() == [600, 600]


def item(kind: int, *parts: bytes, flags: int = 0) -> bytes:
    return struct.pack(">i", kind | flags) + b"".join(parts)


def count(n: int) -> bytes:
    return struct.pack(">i", n)


def text(word: str) -> bytes:
    return item(9, count(len(word.encode())), word.encode())


def strings(*words: str) -> bytes:
    return item(16, count(len(words)), *map(text, words))


def named(kind: int, names: tuple[str, ...], *values: bytes) -> bytes:
    """A list or vector with its names, as R writes it: the values, then a pairlist of attributes."""
    tag = item(1, text("names"))
    attributes = item(2, tag, strings(*names), item(254), flags=0x400)
    return item(kind, count(len(values)), *values, attributes, flags=0x200)


HEADER = b"X\n" + struct.pack(">3i", 3, 0x040201, 0x030500) + count(5) + b"UTF-8"


def test_rs_character_vectors_by_hand():
    chunk = HEADER + strings("Emma", "«Ñ»") + b""
    packed = count(len(chunk)) + zlib.compress(chunk)
    place = item(13, count(2), count(3), count(len(packed)))
    names = HEADER + named(19, ("variables", "compressed"), named(19, ("emma",), place), item(10, count(1), count(1)))
    for squeeze in (zlib.compress, gzip.compress):
        assert character_vectors(b"***" + packed, squeeze(names)) == {"emma": ["Emma", "«Ñ»"]}


def test_what_is_not_read_of_r_is_refused():
    with pytest.raises(UserError, match="not R's binary format: it begins with b'A"):
        Reader(b"A\n")
    with pytest.raises(UserError, match="R's type 14 is not read here"):
        Reader(HEADER + item(14)).value()
    assert Reader(HEADER + item(9, count(-1))).value() == ""  # NA


def test_books_become_paragraphs_in_their_splits():
    assert austen.paragraphs(["", "CHAPTER I", "", "It is", " a truth ", "", "", "universal"]) == (
        "CHAPTER I\nIt is a truth\nuniversal"
    )
    books = {book: [book] for names in austen.BOOKS.values() for book in names}
    splits = austen.split(books)
    assert splits["test"].texts == ["persuasion"]
    assert len({label for part in splits.values() for label in part.labels.tolist()}) == 6


def test_pairs_of_the_help_by_hand(tmp_path):
    page = b'<h1 id="hd_id1" dir="auto">A <b>big</b>\n file</h1><p class="x" id="par_id2">Same</p><p>no mark</p><td id="par_id3"></td>'
    assert libreoffice_help.marked(page) == {"hd_id1": "A big file", "par_id2": "Same"}
    english = {"a": {"1": "Open", "2": "Same", "3": "Open"}, "b": {"1": "OPEN!", "2": "Close"}, "c": {"1": "x"}}
    spanish = {"a": {"1": "Abrir", "2": "Same", "3": "Abra"}, "b": {"1": "Abre", "2": "Cerrar"}}
    pairs = libreoffice_help.aligned(english, spanish)
    assert pairs == {"a": [("Open", "Abrir")], "b": [("Close", "Cerrar")]}  # equal, repeated and lone ones fall away
    many = {str(page): [(f"source {page}", f"target {page}")] for page in range(40)}
    splits = libreoffice_help.split(many)
    assert {split: len(part) for split, part in splits.items()} == {"train": 36, "validation": 2, "test": 2}
    again = write(splits["test"], tmp_path, "test")
    assert (again.sources, again.targets) == (splits["test"].sources, splits["test"].targets)


def test_a_line_that_is_no_pair_is_refused(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"source": "a", "target": "b"}\n{"source": "a"}\n')
    with pytest.raises(UserError, match=r"line 2 of .*train\.jsonl is not"):
        Pairs.read(tmp_path, "train")
    with pytest.raises(UserError, match=r"train\.jsonl, validation\.jsonl and test\.jsonl"):
        Pairs.read(tmp_path / "none", "train")
