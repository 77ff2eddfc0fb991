"""Words and vocabularies by hand, subsets of splits, and rated texts as classes and as ratings."""

from dataclasses import replace

import pytest
import torch

from projects.better_attention.config import PROJECT
from projects.better_attention.data.labelled import (
    PADDING,
    UNKNOWN,
    encode,
    splits,
    subset,
    vocabulary_of,
    words,
    words_of,
)
from tests.configs import configs_of

config_of = configs_of(PROJECT, default="experiment=imdb")


def test_words_and_vocabulary_by_hand():
    assert words_of("It's GREAT!<br /><br />10/10 &amp; more") == ["it's", "great", "10", "10", "more"]
    vocabulary = vocabulary_of(["b a b", "c a b"], size=4)  # two words beside padding and the unknown
    assert vocabulary == {"b": 2, "a": 3}
    tokens = encode(["c b a", "b", ""], vocabulary, length=2)
    assert tokens.tolist() == [[2, 3], [2, PADDING], [PADDING, PADDING]]  # the last two words; padding at the end
    assert encode(["a c"], vocabulary, length=3).tolist() == [[3, UNKNOWN, PADDING]]


def test_random_rows_of_a_split_stay_together():
    rows = torch.arange(10)
    left, right = subset((rows, rows + 100), 4)
    assert len(set(left.tolist())) == 4
    assert torch.equal(right, left + 100)
    assert subset((rows,), None)[0] is rows
    assert subset((rows,), 11)[0].sort().values.tolist() == rows.tolist()


def test_rated_texts_as_classes_and_as_ratings(labelled_data, tmp_path):
    config = config_of("experiment=amazon")
    tokens, labels = splits(config.data, tmp_path)["train"]
    assert len(tokens) == 48  # ratings of 0 are dropped
    assert labels[:3].tolist() == [0, 1, 1]
    vocabulary = words(config.data, tmp_path)
    assert [vocabulary[number] for number in tokens[0, :4].tolist()] == ["a", "awful", "product", ""]
    tokens, ratings = splits(replace(config.data, target="rating"), tmp_path)["train"]
    assert len(tokens) == 64
    assert ratings[:4].tolist() == [-2.5, 3.0, 0.0, 1.5]


def test_a_set_without_the_sizes_of_texts_or_images_is_refused(labelled_data, tmp_path):
    config = config_of("experiment=imdb")
    with pytest.raises(ValueError, match="imdb must set vocabulary and length"):
        splits(replace(config.data, vocabulary=None), tmp_path)
