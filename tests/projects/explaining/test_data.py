"""How texts enter, and the synthetic tasks, each against a case worked by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import sparse

from projects.explaining.config import PROJECT
from projects.explaining.data import (
    ANSWERS,
    FIRST,
    SYNTHETIC_TASKS,
    SYNTHETIC_WORDS,
    THINGS,
    as_tensors,
    encoded,
    frequent,
    labelled,
    lookup,
    majority,
    words_of,
)
from regard_lab.common.strict_yaml import read_yaml
from regard_lab.evidence.floors import logistic
from tests.configs import configs_of
from tests.paths import ROOT

config_of = configs_of(PROJECT, default="experiment=encoder_imdb")


def test_majority_is_in_the_counts():
    tokens, labels = majority(50, 9, seed=1)
    assert ((tokens == FIRST).sum(-1) > 4).long().tolist() == labels.tolist()
    assert labels.sum() == 25
    assert torch.equal(majority(50, 9, seed=1)[0], tokens)


def test_lookup_is_in_the_question_and_one_token():
    tokens, labels = lookup(40, 13, seed=1)
    words = ["", "?", *SYNTHETIC_WORDS["lookup"]]
    for row, label in zip(tokens.tolist(), labels.tolist(), strict=True):
        question, *lines = [words[token] for token in row]
        said = dict(line.split() for line in lines)
        assert set(said) == set(THINGS[:12])
        assert ANSWERS[label] == said[question.removesuffix("?")]
        assert sorted(said.values()) == sorted(ANSWERS * 3)
    assert labels.bincount().tolist() == [10] * 4
    assert len({tuple(row) for row in tokens.tolist()}) == 40
    with pytest.raises(ValueError, match="4 to 24 in steps of 4; got length = 12"):
        lookup(2, 12, seed=0)


def at_places(tokens: torch.Tensor, vocabulary: int) -> sparse.csr_matrix:
    """One feature per token and place: 1 where it stands there."""
    texts, places = np.nonzero(tokens.numpy())
    features = places * vocabulary + tokens.numpy()[texts, places]
    shape = (len(tokens), tokens.shape[1] * vocabulary)
    return sparse.csr_matrix((np.ones(len(texts)), (texts, features)), shape=shape)


def tasks_that_need_attention() -> set[str]:
    """The synthetic tasks of which a claim says that context matters there."""
    claims = read_yaml(ROOT / "projects" / "explaining" / "tables" / "interventions.yaml").value["claims"]
    return {claim["row"]["data"] for claim in claims if claim["group"] == "context-matters"}


def test_no_sum_over_tokens_and_places_solves_a_task_that_is_to_need_attention():
    """A bracket task once stood here: the last bracket's kind is such a sum, and logistic regression found it in 98.6 % of texts."""
    assert tasks_that_need_attention() == {"lookup"}
    for name in sorted(tasks_that_need_attention()):
        length, classes = (25, 4) if name == "lookup" else (24, 2)
        parts = [SYNTHETIC_TASKS[name](size, length, seed) for seed, size in enumerate((2000, 300, 1000))]
        vocabulary = 2 + len(SYNTHETIC_WORDS[name])
        (train, y), (validation, z), (test, truth) = parts
        said = logistic(
            (at_places(train, vocabulary), y.numpy()),
            (at_places(validation, vocabulary), z.numpy()),
            at_places(test, vocabulary),
            classes,
        )
        assert abs(float((said == truth.numpy()).mean()) - 1 / classes) < 0.05


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
    made = encoded(config_of("experiment=encoder_lookup", "data.train_texts=6").data, 10, tmp_path)
    assert made.words[:4] == ["", "?", "hat old", "hat new"]
    assert made.words[-1] == "sofa?"
    assert [len(labels) for _, labels in made.splits.values()] == [6, 256, 256]
