"""Texts: duplicates, splits and the prepared form."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard_lab.common.errors import UserError
from regard_lab.data.texts import Texts, deduplicated, drawn, normalised, split_by_label


def test_copies_that_differ_in_case_marks_and_breaks_are_the_same():
    assert normalised("It's <br />GREAT — ﬁne!\n") == "it s great fine" == normalised("it s great, fine")
    assert normalised("cafe\u0301") == normalised("caf\u00e9")
    assert normalised("not great") != normalised("great")


def test_the_first_of_each_group_is_kept():
    rows = deduplicated([("A b", 1), ("c", 0), ("a  B!", 0)])
    assert list(rows.values()) == [("A b", 1), ("c", 0)]


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.text(st.characters(codec="utf-8"), max_size=8), st.integers(0, 1)), max_size=30), st.randoms()
)
def test_no_row_is_lost_or_shared_and_the_order_of_rows_does_not_matter(rows, random):
    unique = deduplicated(rows)
    shuffled = list(unique.items())
    random.shuffle(shuffled)
    each = (
        min(
            [sum(label == wanted for _, label in unique.values()) for wanted in {label for _, label in unique.values()}]
            or [0]
        )
        // 2
    )
    labels = len({label for _, label in unique.values()})
    if not labels:
        return
    splits = split_by_label(unique, "seed", train=each * labels, validation=each * labels)
    again = split_by_label(dict(shuffled), "seed", train=each * labels, validation=each * labels)
    keys = [key for split in splits.values() for key in split.keys()]  # noqa: SIM118 - a method of Texts
    assert sorted(keys) == sorted(unique)
    assert [(name, list(split.rows())) for name, split in splits.items()] == [
        (name, list(split.rows())) for name, split in again.items()
    ]
    assert set(np.bincount(splits["train"].labels, minlength=2).tolist()) <= {0, each}


def test_a_split_that_cannot_be_balanced_says_what_is_left():
    rows = deduplicated([("a", 0), ("b", 0), ("c", 1)])
    with pytest.raises(UserError, match=r"train needs 4 texts.*\{0: 2, 1: 1\}"):
        split_by_label(rows, "", train=4)
    with pytest.raises(UserError, match="train needs 3 texts"):
        split_by_label(rows, "", train=3)
    with pytest.raises(UserError, match="train needs 2 texts"):
        split_by_label({}, "", train=2)


def test_the_draw_is_a_golden_order_whatever_python_hashes():
    code = "from regard_lab.data.texts import drawn; print(*drawn({'a', 'b', 'c', 'd', 'e', 'f'}, 'imdb 0'))"
    orders = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in "12"
    }
    assert orders == {" ".join(drawn("fedcba", "imdb 0")) + "\n"} == {"a e c b d f\n"}
    assert drawn("abcdef", "imdb 0") != drawn("abcdef", "imdb 1")


@settings(max_examples=50)
@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.integers(-5, 5)), max_size=5))
def test_texts_come_back_to_the_letter(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("texts")
    for name, content in Texts.of(rows).files("train").items():
        (folder / name).write_bytes(content)
    back = Texts.read(folder, "train")
    assert list(back.rows()) == rows
    assert len(back) == len(rows)
    assert back.labels.dtype == np.int64


def test_line_separators_inside_a_text_do_not_break_lines(tmp_path):
    text = "one\x85two\u2028three\r\nfour"
    (tmp_path / "test.jsonl").write_bytes(Texts.of([(text, 1)]).files("test")["test.jsonl"])
    assert Texts.read(tmp_path, "test").texts == [text]


@pytest.mark.parametrize(
    "line",
    [
        '{"text": "a"}',
        '{"text": 1, "label": 0}',
        '{"text": "a", "label": "0"}',
        "[1]",
        "{",
        '{"text": "a", "label": true}',
    ],
)
def test_a_line_of_another_shape_is_named(tmp_path, line):
    (tmp_path / "train.jsonl").write_text('{"text": "a", "label": 0, "more": 1}\n' + line + "\n")
    with pytest.raises(UserError, match=r"^line 2 of .*train\.jsonl is not"):
        Texts.read(tmp_path, "train")


def test_a_missing_file_names_the_three(tmp_path):
    with pytest.raises(UserError, match=r"holds train\.jsonl, validation\.jsonl and test\.jsonl"):
        Texts.read(tmp_path, "train")


def test_a_split_is_streamed_line_by_line(tmp_path):
    texts = Texts.of([("first", 1), ("second\nline", 0), ("third", 1)])
    (tmp_path / "train.jsonl").write_bytes(texts.files("train")["train.jsonl"])
    stream = Texts.stream(tmp_path, "train")
    assert next(stream) == "first"
    assert list(stream) == ["second\nline", "third"]
    with (tmp_path / "train.jsonl").open("ab") as file:
        file.write(b"{}\n")
    stream = Texts.stream(tmp_path, "train")
    assert [next(stream) for _ in range(3)] == texts.texts  # what is after them is not read yet
    with pytest.raises(UserError, match=r"line 4 of .*train.jsonl is not"):
        next(stream)
