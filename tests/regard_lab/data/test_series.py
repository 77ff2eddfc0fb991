"""Series: means over hours by hand, splits in time, and read back as they were written."""

import numpy as np
import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.series import Series, cut_at, filled, in_time, means_of, read_table
from tests.regard_lab.data.round_trip import round_trip


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
    again = round_trip(parts["test"], tmp_path, "test")
    assert np.array_equal(again.values, parts["test"].values)
    assert (again.times.tolist(), again.columns, list(again.keys())) == ([8, 9], ["a"], ["8", "9"])


def test_series_that_do_not_belong_together_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"has no test.npy, test-times.npy, test-columns.json"):
        Series.read(tmp_path, "test")
    round_trip(Series(np.zeros((2, 1), np.float32), np.arange(2), ["a"]), tmp_path, "test")
    (tmp_path / "test-columns.json").write_text('["a", "b"]')
    with pytest.raises(UserError, match="there are 2 times and 2 columns"):
        Series.read(tmp_path, "test")


def test_a_table_of_dates_and_numbers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\ufeffdate,a,b\n2016-07-01 00:00:00,1,2.5\n2016-07-01 01:00:00,3,-4\n", encoding="utf-8")
    series = read_table(path, ["a", "b"])
    assert series.values.tolist() == [[1, 2.5], [3, -4]]
    assert series.times.tolist() == [1_467_331_200, 1_467_334_800]
    path.write_text("date,a\n12/31/2010 23:00,1\n1/1/2011 0:00,2\n")
    assert read_table(path).times.tolist() == [1_293_836_400, 1_293_840_000]  # month first
    for line in ("2016-07-01 00:00:00,1", "yesterday,1,2", "2016-07-01 00:00:00,1,x"):
        path.write_text(f"date,a,b\n2016-07-01 00:00:00,1,2\n{line}\n")
        with pytest.raises(UserError, match=r"line 3 of .*a.csv is not a date and 2 numbers"):
            read_table(path)
    with pytest.raises(UserError, match="must begin with date,a,c; it begins with 'date,a,b'"):
        read_table(path, ["a", "c"])
    with pytest.raises(UserError, match="does not exist"):
        read_table(tmp_path / "b.csv")


def test_cut_at_borders():
    times = np.arange(5) * 3600
    series = Series(np.arange(5, dtype=np.float32)[:, None], times, ["a"])
    parts = cut_at(series, "Power", 5, {"train": 2, "test": 1})
    assert {split: part.values[:, 0].tolist() for split, part in parts.items()} == {"train": [0, 1], "test": [2]}
    with pytest.raises(UserError, match="Power has 5 steps, the official file has 6"):
        cut_at(series, "Power", 6, {"train": 2})
    times = np.array([0, 3600, 7200, 14_400, 18_000])
    with pytest.raises(UserError, match="Power steps by 3600 s, but by 7200 s after its step 2"):
        cut_at(Series(series.values, times, ["a"]), "Power", 5, {"train": 2})
