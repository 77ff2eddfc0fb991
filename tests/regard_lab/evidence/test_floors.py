"""Floors on cases worked by hand, and against plain loops."""

import math

import numpy as np
import pytest
import torch

from regard_lab.evidence import floors

RANDOM = np.random.default_rng(0)


def test_majority_is_chosen_on_the_training_split():
    assert floors.majority(np.array([1, 1, 0]), np.array([0, 0, 0, 1])) == 25.0


def test_words_are_counted_without_padding():
    counts = floors.word_counts(np.array([[1, 1, 2, 0], [0, 0, 0, 0]]), 3).toarray()
    twice, single = math.log(3), math.log(2)
    length = math.hypot(twice, single)
    assert counts == pytest.approx(np.array([[0, twice / length, single / length], [0, 0, 0]]))


def test_logistic_regression_finds_a_line():
    inputs = RANDOM.normal(size=(300, 2))
    labels = (inputs @ [1.0, -2.0] > 0.3).astype(int)
    parts = [(inputs[a:b], labels[a:b]) for a, b in ((0, 200), (200, 250), (250, 300))]
    assert np.mean(floors.logistic(parts[0], parts[1], parts[2][0], 2) == parts[2][1]) > 0.9


def test_the_gradient_of_logistic_regression_vanishes_at_its_solution():
    inputs, labels = RANDOM.normal(size=(60, 3)), RANDOM.integers(0, 3, 60)
    weights = floors._fit_logistic(inputs, labels, 3, 0.1, np.zeros(12)).reshape(3, 4)
    logits = torch.tensor(inputs @ weights[:, :3].T + weights[:, 3])
    parameters = torch.tensor(weights, requires_grad=True)
    logits = torch.tensor(inputs) @ parameters[:, :3].T + parameters[:, 3]
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels)) + 0.05 * (parameters[:, :3] ** 2).sum()
    loss.backward()
    assert float(parameters.grad.abs().max()) < 1e-4


def test_numbers_are_predicted_from_words():
    texts = RANDOM.integers(1, 6, (300, 4))
    counts, numbers = floors.word_counts(texts, 6), (texts == 2).any(1) * 2.0 - 1
    parts = [(counts[a:b], numbers[a:b]) for a, b in ((0, 200), (200, 250), (250, 300))]
    error = np.mean((floors.linear_words(parts[0], parts[1], parts[2][0]) - parts[2][1]) ** 2)
    assert error < 0.2 * np.var(parts[2][1])


def test_nearest_mean():
    train = np.array([[0.0], [2.0], [10.0], [12.0]]), np.array([0, 0, 1, 1])
    assert list(floors.nearest_mean(train, np.array([[5.9], [6.1]]), 2)) == [0, 1]


def test_a_mean_of_embeddings_learns_a_word_and_no_order():
    texts = torch.randint(2, 20, (400, 6), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(400) % 2
    texts[labels == 1, 2] = 1
    parts = [(texts[a:b], labels[a:b]) for a, b in ((0, 300), (300, 350), (350, 400))]
    said = [
        floors.mean_of_embeddings(parts[0], parts[1], test, vocabulary=20, classes=2, seed=0, epochs=40)
        for test in (parts[2][0], parts[2][0].flip(1))
    ]
    assert torch.equal(*said)
    assert float((said[0] == parts[2][1]).float().mean()) > 0.9


def test_naive_forecasts_by_hand():
    window = np.array([[[1.0], [2.0], [3.0], [6.0]]])
    assert floors.last_value(window, 2).ravel().tolist() == [6, 6]
    assert floors.seasonal_naive(window, 3, 2).ravel().tolist() == [3, 6, 3]
    assert floors.window_mean(window, 2).ravel().tolist() == [3, 3]
    with pytest.raises(ValueError, match="a window of 4 steps holds no period of 5"):
        floors.seasonal_naive(window, 3, 5)


def test_ridge_continues_a_line_that_no_naive_forecast_does():
    starts, slopes = RANDOM.normal(size=(2, 60, 1, 1))
    steps = np.arange(7)[None, :, None]
    lines = starts + slopes * steps
    parts = [(lines[a:b, :4], lines[a:b, 4:]) for a, b in ((0, 30), (30, 45), (45, 60))]
    assert floors.ridge(parts[0], parts[1], parts[2][0]) == pytest.approx(parts[2][1], abs=1e-3)


def plain_ngram_loss(train, test, vocabulary, order):
    def probability(word, history):
        below = probability(word, history[1:]) if history else 1 / vocabulary
        followers = [
            sequence[i]
            for sequence in ([vocabulary] * (order - 1) + list(s) for s in train)
            for i in range(order - 1, len(sequence))
            if tuple(sequence[i - len(history) : i]) == history
        ]
        if not followers:
            return below
        kinds = len(set(followers))
        return (followers.count(word) + kinds * below) / (len(followers) + kinds)

    losses = []
    for sequence in test:
        padded = [vocabulary] * (order - 1) + list(sequence)
        for i in range(order - 1, len(padded)):
            losses.append(-math.log(probability(padded[i], tuple(padded[i - order + 1 : i]))))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_ngrams_are_those_of_plain_loops(order):
    train = [RANDOM.integers(0, 5, size) for size in (20, 7, 1)]
    test = [RANDOM.integers(0, 6, size) for size in (9, 3)]  # 5 never stands in the training split
    assert floors.ngram_loss(train, test, 6, order) == pytest.approx(plain_ngram_loss(train, test, 6, order))


def test_given_tokens_are_context_alone():
    train, test = [np.array([0, 1, 0, 1])], [np.array([0, 1]), np.array([1, 0])]
    whole = [floors.ngram_loss(train, [np.array(one)], 2, 2) for one in ([0], [1], [0, 1], [1, 0])]
    expected = (2 * whole[2] - whole[0] + 2 * whole[3] - whole[1]) / 2
    assert floors.ngram_loss(train, test, 2, 2, given=1) == pytest.approx(expected)


def test_a_bigram_by_hand():
    """After "0" comes 1 always (once): p = (1 + 1 · p1) / (1 + 1) with the unigram p1 = (1 + 2/2) / (2 + 2) = 1/2."""
    assert floors.ngram_loss([np.array([0, 1])], [np.array([0, 1])], 2, 2) == pytest.approx(-math.log(0.75))


def test_the_nearest_source():
    train = floors.word_counts(np.array([[1, 2], [3, 4]]), 6)
    test = floors.word_counts(np.array([[4, 5], [2, 2], [5, 5]]), 6)
    assert list(floors.nearest_source(train, test)) == [1, 0, 0]
