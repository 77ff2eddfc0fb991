"""Multi-News out of the files of its authors."""

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import multi_news


def test_lines_correspond(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        (tmp_path / f"{split}.src.cleaned").write_text(
            f"{split} a NEWLINE_CHAR b ||||| c\n{split} d\n", encoding="utf-8"
        )
        (tmp_path / f"{split}.tgt").write_text("– both\n– one\n", encoding="utf-8")
    splits = multi_news.from_folder(tmp_path)
    assert splits["validation"].sources == ["val a \n b ||||| c", "val d"]
    assert splits["validation"].targets == ["– both", "– one"]
    (tmp_path / "test.tgt").write_text("– both\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"test.src.cleaned has 2 lines and test.tgt 1"):
        multi_news.from_folder(tmp_path)
    assert sum(multi_news.SIZES.values()) == 56_216
