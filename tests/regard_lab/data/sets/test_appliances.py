"""Appliances: its table without the random columns."""

import numpy as np

from regard_lab.data.sets import appliances


def test_appliances_by_hand():
    lines = ['"date","Appliances","T1","rv1","rv2"']
    lines += [f'"2016-01-11 17:{10 * step:02}:00","  {step}","1.5","9","9"' for step in range(5)]
    splits = appliances.table("\r\n".join(lines))
    assert splits["train"].columns == ["Appliances", "T1"]  # without the random ones
    assert splits["train"].values.tolist() == [[0, 1.5], [1, 1.5], [2, 1.5]]
    assert np.diff(splits["train"].times).tolist() == [600, 600]
