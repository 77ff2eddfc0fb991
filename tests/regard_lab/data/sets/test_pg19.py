"""PG-19 out of the folders of its authors."""

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import pg19


def test_books_by_the_names_of_their_files(tmp_path: Path) -> None:
    for split, numbers in {"train": (20, 3), "validation": (5,), "test": (7,)}.items():
        (tmp_path / split).mkdir()
        for number in numbers:
            (tmp_path / split / f"{number}.txt").write_text(f"book {number}\nends", encoding="utf-8")
    splits = pg19.from_folder(tmp_path)
    assert splits["train"].texts == ["book 20\nends", "book 3\nends"]
    assert {split: len(part) for split, part in splits.items()} == {"train": 2, "validation": 1, "test": 1}
    (tmp_path / "test" / "7.txt").unlink()
    with pytest.raises(UserError, match=r"test holds no .txt"):
        pg19.from_folder(tmp_path)
