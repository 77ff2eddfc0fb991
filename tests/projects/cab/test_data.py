"""How data enter: windows, clocks, words and numbers by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from projects.cab.data.running_text import cut_text
from projects.cab.data.sentences import BEGIN, END, PADDING, UNKNOWN, fits, numbered, vocabulary_of, words_of
from projects.cab.data.series import clock_of, cut_series


def test_windows_of_a_series_by_hand():
    task = SimpleNamespace(length=2, horizon=1)
    known, clock, coming, target = cut_series(np.arange(5.0)[:, None], np.arange(5.0)[:, None] / 10, task, None)
    assert known[..., 0].tolist() == [[0, 1], [1, 2], [2, 3]]
    assert target[..., 0].tolist() == [[2], [3], [4]]
    assert torch.equal(clock * 10, known)
    assert torch.equal(coming * 10, target)
    with pytest.raises(ValueError, match=r"a split of 2 steps has no window of 2 \+ 1"):
        cut_series(np.zeros((2, 1)), np.zeros((2, 1)), task, None)


def test_the_clock_by_hand():
    six, day = 6 * 3600, 86_400
    clock = clock_of(np.array([0, six, 7 * day + six]))
    assert clock[0] == pytest.approx([0, 0, 1, 1])  # sine of day and week, cosine of day and week
    assert clock[1][[0, 2]] == pytest.approx([1, 0])
    assert clock[2] == pytest.approx(clock[1])


def test_windows_of_a_text_by_hand():
    (windows,) = cut_text(torch.arange(8), 3, None)
    assert windows.tolist() == [[0, 1, 2, 3], [3, 4, 5, 6]]  # each subword is predicted once
    with pytest.raises(ValueError, match="no window of 8"):
        cut_text(torch.arange(8), 8, None)


def test_words_by_hand():
    assert words_of("Save, or Don't?") == ["save", ",", "or", "don", "'", "t", "?"]
    words = vocabulary_of([["b", "a"], ["b", "c"]], size=6)
    assert words == {"b": 4, "a": 5}
    numbers = numbered([["a", "z"], []], words, 4, ends=True)
    assert numbers.tolist() == [
        [BEGIN, 5, UNKNOWN, END],
        [BEGIN, END, PADDING, PADDING],
    ]
    assert fits((["a"], ["b"] * 2), 4)
    assert not fits((["a"], ["b"] * 3), 4)
