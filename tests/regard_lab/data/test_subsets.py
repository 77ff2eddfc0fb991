"""A drawn part of a split."""

from regard_lab.data.subsets import drawn


def test_a_part_is_the_same_each_time_and_has_no_row_twice():
    part = drawn(range(100), 30)
    assert part == drawn(range(100), 30)
    assert len(set(part)) == 30
    assert max(part) > 60  # not the first rows


def test_a_part_larger_than_the_whole_is_the_whole():
    assert sorted(drawn("abc", 9)) == sorted(drawn("abc", None)) == ["a", "b", "c"]
