"""The task of lookups by hand: what is planted and asked, that classes are balanced, and how far a vote over the planted words gets."""

import math

import numpy as np
import pytest
import torch

from projects.better_attention.config import PROJECT
from projects.better_attention.data import lookups as task
from projects.better_attention.data.labelled import splits
from projects.better_attention.data.lookups import FIRST, carrier, lookups, most_keys, query
from tests.configs import configs_of

config_of = configs_of(PROJECT, default="experiment=retrieval")
KEYS, PLANTED, LENGTH = 5, 4, 9


def of_class(words: np.ndarray) -> np.ndarray:
    """-1 or 1 for a planted word's class, 0 for every other word and for a query."""
    place = words - query(np.array(0))
    planted = (place >= 0) & (place < 3 * KEYS) & (place % 3 > 0)
    return np.where(planted, 2 * (place % 3) - 3, 0)


def test_the_words_of_a_key_stand_together():
    assert query(np.array([0, 1])).tolist() == [FIRST + 2, FIRST + 5]
    assert carrier(np.array([0, 1]), np.array([0, 1])).tolist() == [FIRST + 3, FIRST + 7]
    assert most_keys(FIRST + 2 + 7) == 2
    assert most_keys(10) == 0


def rows_of(*words: int, times: int = 1) -> torch.Tensor:
    """Reviews of one word, over and over."""
    return torch.tensor([[word] * (LENGTH - 1) for word in words for _ in range(times)])


def test_the_label_is_the_class_of_the_queried_key_and_nothing_else_is_changed():
    reviews = rows_of(7, 8, 9, times=4)
    tokens, labels = lookups(reviews, keys=KEYS, planted=PLANTED, seed=0)
    assert tokens.shape == (12, LENGTH)
    for row, label in zip(tokens.tolist(), labels.tolist(), strict=True):
        assert row[0] + 1 + label in row[1:]
        assert row[0] + 2 - label not in row[1:]
        planted = [word for word in row[1:] if word > 9]
        assert len({(word - FIRST - 2) // 3 for word in planted}) == len(planted) == PLANTED
    assert [min(row[1:]) for row in tokens.tolist()] == reviews[:, 0].tolist()
    assert reviews.max() == 9  # the texts given are left as they are
    again = lookups(reviews, keys=KEYS, planted=PLANTED, seed=0)
    assert torch.equal(tokens, again[0])
    assert torch.equal(labels, again[1])
    assert not torch.equal(tokens, lookups(reviews, keys=KEYS, planted=PLANTED, seed=1)[0])


def test_reviews_that_are_short_or_have_a_word_of_the_task_are_left_out():
    reviews = rows_of(7, 8, 9, 10, 11)
    reviews[1, 3] = FIRST + 2
    reviews[2, -1] = 0
    reviews[3, 0] = FIRST + 2 + 3 * KEYS  # the first word that is none of the task's
    tokens, _ = lookups(reviews, keys=KEYS, planted=PLANTED, seed=0)
    assert [min(row[1:]) for row in tokens.tolist()] == [7, 10, 11]


@pytest.mark.parametrize("planted", [2, 3, 4])
def test_a_vote_over_the_planted_words_is_right_as_often_as_the_formula_says(planted):
    tokens, labels = lookups(rows_of(7, times=20_000), keys=KEYS, planted=planted, seed=0)
    votes = of_class(tokens.numpy()[:, 1:]).sum(1)
    right = np.where(votes == 0, 0.5, np.sign(votes) == 2 * labels.numpy() - 1)
    expected = 0.5 + math.comb(planted - 1, (planted - 1) // 2) / 2**planted
    assert right.mean() == pytest.approx(expected, abs=0.01)
    assert labels.float().mean() == pytest.approx(0.5, abs=0.015)
    # The query by itself says nothing: each is asked as often, for either class.
    asked = np.bincount((tokens.numpy()[:, 0] - query(np.array(0))) // 3, minlength=KEYS) / len(tokens)
    assert asked == pytest.approx(1 / KEYS, abs=0.015)


def test_more_than_there_is_room_for_is_refused():
    with pytest.raises(ValueError, match="6 words cannot be planted with 5 keys into 8 words"):
        lookups(rows_of(7), keys=KEYS, planted=6, seed=0)


def test_the_configured_task_is_read_through_the_splits(labelled_data, tmp_path, monkeypatch):
    monkeypatch.setattr(task, "FIRST", 0)
    config = config_of("data.keys=1", "data.planted=1", "data.vocabulary=5")
    parts = splits(config.data, tmp_path)
    assert set(parts) == {"train", "validation", "test"}
    # "good" and "bad" are words of the task here, so that no stretch is without them.
    assert parts["train"][0].shape == (0, 32)
