"""How texts enter, and the synthetic tasks, each against a case worked by hand."""

from types import SimpleNamespace

import pytest
import torch

from projects.explaining.config import PROJECT
from projects.explaining.data import FIRST, as_tensors, brackets, encoded, frequent, labelled, majority, words_of
from tests.configs import configs_of

config_of = configs_of(PROJECT, default="experiment=encoder_imdb")


def test_majority_is_in_the_counts():
    tokens, labels = majority(50, 9, seed=1)
    assert ((tokens == FIRST).sum(-1) > 4).long().tolist() == labels.tolist()
    assert labels.sum() == 25
    assert torch.equal(majority(50, 9, seed=1)[0], tokens)


def test_brackets_are_in_the_order_alone():
    tokens, labels = brackets(50, 12, seed=1)
    kinds = tokens - FIRST
    assert {tuple(row.bincount(minlength=3).tolist()) for row in kinds} == {(6, 3, 3)}
    last = [int(row[row > 0][-1]) for row in kinds]
    assert [int(kind == 1) for kind in last] == labels.tolist()
    with pytest.raises(ValueError, match="6 places, got length = 5"):
        brackets(2, 5, seed=0)


def test_words_and_numbers():
    assert words_of("It's 10/10, GREAT!<br />don't &amp; 2nd") == ["it's", "qqq", "qqq", "great", "!", "don't", "qqq"]
    words = frequent(["b a b", "c a b"], 4)
    assert words == ["", "?", "b", "a"]
    tokens, labels = as_tensors([("c b a b", 1), ("", 0)], {word: place for place, word in enumerate(words)}, 3)
    assert tokens.tolist() == [[1, 2, 3], [1, 0, 0]]
    assert labels.tolist() == [1, 0]


def test_labels_are_kept_and_ratings_become_signs(tmp_path):
    part = SimpleNamespace(
        texts=["a", "b", "c"], scores=[-2.0, 0.0, 0.5], labels=SimpleNamespace(tolist=lambda: [9, 4, 10])
    )
    kept = config_of("experiment=encoder_newsgroups").data
    assert labelled({"train": part}, kept, "train") == [("a", 0), ("c", 1)]
    ratings = config_of("experiment=encoder_movie_snippets").data
    assert labelled({"movie_train": part}, ratings, "train") == [("a", 0), ("c", 1)]
    made = encoded(config_of("experiment=encoder_brackets", "data.train_texts=6").data, 10, tmp_path)
    assert made.words == ["", "?", "·", "(", "["]
    assert [len(labels) for _, labels in made.splits.values()] == [6, 256, 256]
