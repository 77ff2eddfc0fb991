"""ETTh2: the official file's head and length, and its borders of 12, 4 and 4 months."""

from regard_lab.data.sets import etth2
from tests.regard_lab.data.hours import check_transformer


def test_the_official_file_and_its_borders(tmp_path, monkeypatch) -> None:
    check_transformer(etth2, "ETTh2", steps="17,420", per_hour=1, folder=tmp_path, monkeypatch=monkeypatch)
