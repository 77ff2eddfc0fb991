"""Floors: simple baselines that a referee would compute in ten minutes, working on arrays only.

A project gives them its own splits and scores them by its own metric.

    numbers        the mean · ridge regression on counts of words
    classes        majority · logistic regression on counts of words or on pixels · nearest class mean · a mean of embeddings
    series         last value · seasonal naive · mean · ridge regression from the input window
    language       n-grams with Witten–Bell smoothing (Witten and Bell 1991)
    translation    the target of the nearest source in the training split

Everything but the mean of embeddings is deterministic; strengths of penalties are chosen on the validation split, never on the test split.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize, sparse
from scipy.sparse import linalg as sparse_linalg
from torch import Tensor, nn
from torch.nn import functional as F

Counts = sparse.csr_matrix
Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
PENALTIES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)  # per example
DAMPINGS = (0.1, 0.3, 1.0, 3.0, 10.0)
RIDGES = (1e-3, 1e-1, 1e1, 1e3, 1e5)
NEIGHBOURS = 4096  # test rows compared at once


def majority(train: Ints, test: Ints) -> float:
    """The accuracy, in %, of always saying the most frequent label of the training split (the least of equals)."""
    most = np.bincount(train).argmax()
    return 100 * float(np.mean(test == most))


def word_counts(tokens: Ints, vocabulary: int) -> sparse.csr_matrix:
    """How often each word occurs in each text, as log(1 + count), each text of length 1.

    Args:
        tokens: Texts (t, m) of word numbers below `vocabulary`; 0 is padding and not counted.
        vocabulary: How many words there are.
    """
    texts, places = np.nonzero(tokens)
    counts = sparse.csr_matrix((np.ones(len(texts)), (texts, tokens[texts, places])), shape=(len(tokens), vocabulary))
    counts.data = np.log1p(counts.data)
    lengths = np.sqrt(np.asarray(counts.power(2).sum(1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(lengths, 1e-12)) @ counts)


def logistic(
    train: tuple[sparse.csr_matrix | Floats, Ints],
    validation: tuple[sparse.csr_matrix | Floats, Ints],
    test: sparse.csr_matrix | Floats,
    classes: int,
) -> Ints:
    """The classes (t,) that multinomial logistic regression predicts for `test`, its L2 penalty chosen by accuracy on `validation`.

    Args:
        train: Features (n, f) and labels (n,) from 0.
        validation: The same.
        test: Features (t, f).
        classes: How many there are.
    """
    inputs, labels = train
    best: tuple[float, Ints] = (-1.0, np.zeros(test.shape[0], dtype=np.int64))
    start = np.zeros(classes * (inputs.shape[1] + 1))
    for penalty in PENALTIES[::-1]:  # each begins where a stronger penalty ended
        start = _fit_logistic(inputs, labels, classes, penalty, start)
        accuracy = float(np.mean(_logits(validation[0], start, classes).argmax(1) == validation[1]))
        if accuracy > best[0]:
            best = accuracy, _logits(test, start, classes).argmax(1)
    return best[1]


def _fit_logistic(
    inputs: sparse.csr_matrix | Floats, labels: Ints, classes: int, penalty: float, start: Floats
) -> Floats:
    n = len(labels)
    truth = np.eye(classes)[labels]

    def loss(weights: Floats) -> tuple[float, Floats]:
        logits = _logits(inputs, weights, classes)
        logits = logits - logits.max(1, keepdims=True)
        log_sum = np.log(np.exp(logits).sum(1, keepdims=True))
        residual = np.exp(logits - log_sum) - truth
        matrix = weights.reshape(classes, -1)[:, :-1]
        value = -float((truth * (logits - log_sum)).sum()) / n + penalty / 2 * float((matrix**2).sum())
        gradient = np.concatenate(
            [(inputs.T @ residual.astype(inputs.dtype)).T / n + penalty * matrix, residual.sum(0)[:, None] / n], 1
        )
        return value, gradient.ravel()

    optimum = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    weights: Floats = optimum.x
    return weights


def _logits(inputs: sparse.csr_matrix | Floats, weights: Floats, classes: int) -> Floats:
    matrix = weights.reshape(classes, -1)
    # In the inputs' own precision: otherwise NumPy would copy them all to double precision at every step.
    logits: Floats = np.asarray(inputs @ matrix[:, :-1].T.astype(inputs.dtype)).astype(np.float64) + matrix[:, -1]
    return logits


def linear_words(
    train: tuple[sparse.csr_matrix, Floats], validation: tuple[sparse.csr_matrix, Floats], test: sparse.csr_matrix
) -> Floats:
    """Numbers (t,) that ridge regression on counts of words predicts for `test`; its penalty has the least validation error.

    Args:
        train: Counts (n, f) and the numbers (n,) to be predicted.
        validation: The same.
        test: Counts (t, f).
    """
    inputs, numbers = train
    mean = float(np.mean(numbers))
    best: tuple[float, Floats] = (np.inf, np.full(test.shape[0], mean))
    for damping in DAMPINGS:
        weights = sparse_linalg.lsqr(inputs, numbers - mean, damp=damping)[0]
        error = float(np.mean((validation[0] @ weights + mean - validation[1]) ** 2))
        if error < best[0]:
            best = error, test @ weights + mean
    return best[1]


def nearest_mean(train: tuple[Floats, Ints], test: Floats, classes: int) -> Ints:
    """The class (t,) whose mean over the training split (n, f) is nearest to each row of `test` (t, f)."""
    inputs, labels = train
    means = np.stack([inputs[labels == one].mean(0) for one in range(classes)])
    distances = (means**2).sum(1) - 2 * test @ means.T
    nearest: Ints = distances.argmin(1)
    return nearest


def mean_of_embeddings(
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    test: Tensor,
    *,
    vocabulary: int,
    classes: int,
    seed: int,
    width: int = 32,
    epochs: int = 10,
) -> Tensor:
    """The classes (t,) predicted by a mean of learnt word embeddings with one linear layer: a text model without any attention.

    Trained with Adam at 1e-3 on batches of 64; the weights are those of the epoch of best validation accuracy.

    Args:
        train: Texts (n, m) of word numbers, 0 for padding, and labels (n,) from 0.
        validation: The same.
        test: Texts (t, m).
        vocabulary: How many words there are.
        classes: How many there are.
        seed: Seed of the initial weights and of the order of batches.
        width: The width of an embedding.
        epochs: How many passes are made over the training split.
    """
    torch.manual_seed(seed)
    model = nn.Sequential(nn.EmbeddingBag(vocabulary, width, mode="mean", padding_idx=0), nn.Linear(width, classes))
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    best, predicted = -1.0, torch.zeros(len(test), dtype=torch.long)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(train[0])), 64):
            adam.zero_grad()
            torch.autograd.backward(F.cross_entropy(model(train[0][rows]), train[1][rows]))
            adam.step()
        with torch.no_grad():
            accuracy = float((model(validation[0]).argmax(-1) == validation[1]).float().mean())
            if accuracy > best:
                best, predicted = accuracy, model(test).argmax(-1)
    return predicted


def last_value(inputs: Floats, horizon: int) -> Floats:
    """The last of each window (t, m, v), `horizon` times over: (t, horizon, v)."""
    return np.repeat(inputs[:, -1:], horizon, 1)


def seasonal_naive(inputs: Floats, horizon: int, period: int) -> Floats:
    """The last `period` steps of each window (t, m, v), repeated to (t, horizon, v); a window must hold a period."""
    if inputs.shape[1] < period:
        raise ValueError(f"a window of {inputs.shape[1]} steps holds no period of {period}")
    steps = np.arange(horizon) % period
    return inputs[:, -period:][:, steps]


def window_mean(inputs: Floats, horizon: int) -> Floats:
    """The mean of each window (t, m, v), `horizon` times over: (t, horizon, v)."""
    return np.repeat(inputs.mean(1, keepdims=True), horizon, 1)


def ridge(train: tuple[Floats, Floats], validation: tuple[Floats, Floats], test: Floats) -> Floats:
    """Forecasts (t, h, v) by ridge regression from each series' own window, with one set of weights for all series, less its last value.

    This is a linear forecast of normalised windows (NLinear, Zeng et al. 2023) in closed form; the penalty has the least validation error.

    Args:
        train: Windows (n, m, v) and what followed (n, h, v).
        validation: The same.
        test: Windows (t, m, v).
    """
    inputs, targets = _centred(*train)
    ones = np.ones((len(inputs), 1))
    design = np.concatenate([inputs, ones], 1)
    gram, moment = design.T @ design, design.T @ targets
    best: tuple[float, Floats] = (np.inf, np.zeros(0))
    for penalty in RIDGES:
        weights = np.linalg.solve(gram + penalty * np.eye(len(gram)), moment)
        error = float(np.mean((_forecast(validation[0], weights) - validation[1]) ** 2))
        if error < best[0]:
            best = error, weights
    return _forecast(test, best[1])


def _centred(windows: Floats, targets: Floats) -> tuple[Floats, Floats]:
    """Windows and what followed, less the last value known, one row per window and series."""
    last = windows[:, -1:]
    flat = [np.moveaxis(part - last, 2, 1).reshape(-1, part.shape[1]) for part in (windows, targets)]
    return flat[0], flat[1]


def _forecast(windows: Floats, weights: Floats) -> Floats:
    last = windows[:, -1:]
    rows = np.moveaxis(windows - last, 2, 1)
    forecast: Floats = np.moveaxis(rows @ weights[:-1] + weights[-1], 2, 1) + last
    return forecast


def ngram_loss(train: Sequence[Ints], test: Sequence[Ints], vocabulary: int, order: int, *, given: int = 0) -> float:
    """The mean negative log-likelihood, in nats per token of `test`, of an interpolated n-gram model of that order.

        p(w | h) = (c(h, w) + T(h) p(w | h')) / (c(h) + T(h))        h' = h without its oldest token, p(w) below the unigrams = 1 / V

    with c the counts in `train` and T(h) how many different tokens follow h there (Witten and Bell 1991, interpolated).
    No context crosses the beginning of a sequence.

    Args:
        train: Sequences of tokens from 0 to `vocabulary` - 1.
        test: The same.
        vocabulary: How many tokens there are, V.
        order: 1 for unigrams, 2 for bigrams, …
        given: How many tokens at the beginning of each sequence are context only and not predicted.
    """
    known, asked = (_contexts(sequences, vocabulary, order) for sequences in (train, test))
    base = vocabulary + 1  # one more marks the beginning of a sequence
    contexts: Ints = np.zeros(len(known[0]), dtype=np.int64)
    test_contexts: Ints = np.zeros(len(asked[0]), dtype=np.int64)
    likelihood = np.full(len(asked[0]), 1 / vocabulary)
    for length in range(order):
        if length:
            keys = contexts * base + known[length]
            wanted = np.where(test_contexts >= 0, test_contexts * base + asked[length], -1)
            distinct, contexts = np.unique(keys, return_inverse=True)
            test_contexts = _positions(distinct, wanted)
        pairs, counts = np.unique(contexts * base + known[0], return_counts=True)
        followed, different = (np.bincount(pairs // base, weights=w) for w in (counts, np.ones(len(counts))))
        seen = test_contexts >= 0
        place = _positions(pairs, np.where(seen, test_contexts * base + asked[0], -1))
        count = np.where(place >= 0, counts[place], 0)
        total, kinds = followed[test_contexts], different[test_contexts]
        likelihood = np.where(seen, (count + kinds * likelihood) / (total + kinds), likelihood)
    predicted = np.concatenate([np.arange(len(sequence)) >= given for sequence in test])
    return -float(np.mean(np.log(likelihood[predicted])))


def _contexts(sequences: Sequence[Ints], vocabulary: int, order: int) -> list[Ints]:
    """Every token, and those one, two, … places before it; before a sequence begins that is `vocabulary`."""
    shifted: list[list[Ints]] = [[] for _ in range(order)]
    for sequence in sequences:
        padded = np.concatenate([np.full(order - 1, vocabulary), np.asarray(sequence, dtype=np.int64)])
        for back in range(order):
            shifted[back].append(padded[order - 1 - back : len(padded) - back])
    return [np.concatenate(part) for part in shifted]


def _positions(known: Ints, wanted: Ints) -> Ints:
    """The position of each wanted number among the sorted known ones, -1 for an unknown one."""
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[place] == wanted, place, -1)


def nearest_source(train: sparse.csr_matrix, test: sparse.csr_matrix) -> Ints:
    """For each row of `test` (`word_counts`) the number of the row of `train` with the largest cosine; the first of equals."""
    nearest = [
        np.asarray((test[start : start + NEIGHBOURS] @ train.T).todense()).argmax(1)
        for start in range(0, test.shape[0], NEIGHBOURS)
    ]
    return np.concatenate(nearest)
