"""Amazon polarity: the hub's columns and the files of its homepage."""

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import amazon_polarity


def test_amazon_polarity_joins_title_and_text(monkeypatch, tmp_path):
    monkeypatch.setattr(amazon_polarity, "VALIDATION", 1)
    half = {"title": ["Great", "Bad"], "content": ["I like it", "Broke"], "label": [1, 0]}
    monkeypatch.setattr(amazon_polarity, "load_hub", lambda path: {"train": half, "test": half})
    splits = amazon_polarity.from_hub()
    assert list(splits["train"].rows()) == [("Great I like it", 1)]
    assert list(splits["validation"].rows()) == [("Bad Broke", 0)]
    (tmp_path / "train.csv").write_text('"2","Great","I ""like"" it"\n"1","Bad","Broke"\n')
    with pytest.raises(UserError, match=r"missing: test\.csv"):
        amazon_polarity.from_folder(tmp_path)
    (tmp_path / "test.csv").write_text('"1","Bad","Broke"\n')
    assert list(amazon_polarity.from_folder(tmp_path)["train"].rows()) == [('Great I "like" it', 1)]
    (tmp_path / "test.csv").write_text('"3","Bad","Broke"\n')
    with pytest.raises(UserError, match=r"line 1 of .*test\.csv is not class"):
        amazon_polarity.from_folder(tmp_path)
