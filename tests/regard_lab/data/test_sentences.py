"""Sentences with scores, and the sets made of them."""

from pathlib import Path

import numpy as np
import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sentences import Sentences

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
