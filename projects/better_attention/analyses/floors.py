"""What a referee would compute in ten minutes, on the very splits of a cell and by its own metric (`regard_lab.evidence.floors`)."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from projects.better_attention.config import Config
from projects.better_attention.data.labelled import subset
from projects.better_attention.data.pairs import bilingual
from projects.better_attention.data.windows import windows
from projects.better_attention.models.controls import NoAttention
from projects.better_attention.tasks import classification
from projects.better_attention.tasks.classification import budgeted_splits
from projects.better_attention.tasks.translation import bleu, some
from regard_lab.evidence import floors
from regard_lab.experiment.run_result import RunResult

MOST_IMAGES = 10_000  # of the training split, for logistic regression on pixels


def majority(config: Config, folder: Path) -> RunResult:
    """The most frequent class of the training split, always."""
    parts = budgeted_splits(config)
    return RunResult({"test_accuracy": floors.majority(parts["train"][1].numpy(), parts["test"][1].numpy())})


def bag_of_words(config: Config, folder: Path) -> RunResult:
    """Logistic regression on counts of words."""
    assert config.data.vocabulary is not None
    counts, labels = _words(config)
    said = floors.logistic(
        (counts["train"], labels["train"]),
        (counts["validation"], labels["validation"]),
        counts["test"],
        classes(config),
    )
    return RunResult({"test_accuracy": 100 * float(np.mean(said == labels["test"]))})


def bag_of_bigrams(config: Config, folder: Path) -> RunResult:
    """Logistic regression on counts of words and of neighbouring pairs of words that the training split has at least twice."""
    assert config.data.vocabulary is not None
    counts, labels = _words(config)
    size = config.data.vocabulary
    tokens = {split: part[0].numpy() for split, part in budgeted_splits(config).items()}
    pairs = {split: rows[:, :-1] * size + rows[:, 1:] for split, rows in tokens.items()}
    # A pair with padding in it is none.
    pairs = {split: np.where(tokens[split][:, 1:] > 0, rows, -1) for split, rows in pairs.items()}
    kinds, times = np.unique(pairs["train"], return_counts=True)
    known = kinds[(times > 1) & (kinds >= 0)]
    both = {}
    for split, rows in pairs.items():
        places = np.searchsorted(known, rows).clip(max=max(0, len(known) - 1))
        numbers = np.where(known[places] == rows, places + 1, 0) if len(known) else np.zeros_like(rows)
        both[split] = sparse.hstack([counts[split], floors.word_counts(numbers, len(known) + 1)], "csr")
    said = floors.logistic(
        (both["train"], labels["train"]), (both["validation"], labels["validation"]), both["test"], classes(config)
    )
    return RunResult({"test_accuracy": 100 * float(np.mean(said == labels["test"]))})


def mean_of_embeddings(config: Config, folder: Path) -> RunResult:
    """A linear layer on the mean of learnt word embeddings, as wide as the encoder."""
    assert config.data.vocabulary is not None
    parts = budgeted_splits(config)
    (train, labels), (validation, right), (test, truth) = parts["train"], parts["validation"], parts["test"]
    said = floors.mean_of_embeddings(
        (train, labels),
        (validation, right),
        test,
        vocabulary=config.data.vocabulary,
        classes=classes(config),
        seed=config.seed,
        width=config.model.width,
    )
    return RunResult({"test_accuracy": 100 * float((said == truth).double().mean())})


def no_attention(config: Config, folder: Path) -> RunResult:
    """The same network, trained by the same recipe, with nothing where its attention was."""
    trained = classification.train(replace(config, model=replace(config.model, attention=NoAttention.name)), folder)
    return RunResult(trained.metrics)


def nearest_mean(config: Config, folder: Path) -> RunResult:
    """The class whose mean training image is nearest."""
    parts = {split: (_pixels(images), labels.numpy()) for split, (images, labels) in budgeted_splits(config).items()}
    said = floors.nearest_mean(parts["train"], parts["test"][0], classes(config))
    return RunResult({"test_accuracy": 100 * float(np.mean(said == parts["test"][1]))})


def linear_pixels(config: Config, folder: Path) -> RunResult:
    """Logistic regression on pixels, of at most 10,000 training images."""
    parts = budgeted_splits(config)
    train, validation = (tuple(tensor[:MOST_IMAGES] for tensor in parts[split]) for split in ("train", "validation"))
    said = floors.logistic(
        (_pixels(train[0]), train[1].numpy()),
        (_pixels(validation[0]), validation[1].numpy()),
        _pixels(parts["test"][0]),
        classes(config),
    )
    return RunResult({"test_accuracy": 100 * float(np.mean(said == parts["test"][1].numpy()))})


def mean_rating(config: Config, folder: Path) -> RunResult:
    """The mean rating of the training split, always."""
    parts = budgeted_splits(config)
    errors = parts["test"][1] - parts["train"][1].mean()
    return RunResult({"test_rmse": float((errors.double() ** 2).mean() ** 0.5)})


def linear_words(config: Config, folder: Path) -> RunResult:
    """Ridge regression of ratings on counts of words."""
    counts, ratings = _words(config)
    said = floors.linear_words(
        (counts["train"], ratings["train"]), (counts["validation"], ratings["validation"]), counts["test"]
    )
    return RunResult({"test_rmse": float(np.mean((said - ratings["test"]) ** 2) ** 0.5)})


def unigram(config: Config, folder: Path) -> RunResult:
    """The frequencies of subwords."""
    return _ngram(config, 1)


def bigram(config: Config, folder: Path) -> RunResult:
    """Pairs of subwords, smoothed."""
    return _ngram(config, 2)


def trigram(config: Config, folder: Path) -> RunResult:
    """Triples of subwords, smoothed."""
    return _ngram(config, 3)


def fivegram(config: Config, folder: Path) -> RunResult:
    """Five subwords, smoothed."""
    return _ngram(config, 5)


def nearest_source(config: Config, folder: Path) -> RunResult:
    """The translation of the training sentence that shares most words with the source."""
    pairs = bilingual(config.data, Path.cwd()).splits
    assert config.data.vocabulary is not None
    asked = some(pairs["test"], config.budget.held_out_examples)
    sources = pairs["train"].sources[: config.budget.train_examples], asked.sources
    train, test = (floors.word_counts(side.numpy(), config.data.vocabulary) for side in sources)
    nearest = floors.nearest_source(train, test)
    return RunResult({"bleu": bleu([pairs["train"].target_texts[row] for row in nearest], asked.target_texts)})


def copied_source(config: Config, folder: Path) -> RunResult:
    """The source itself."""
    test = some(bilingual(config.data, Path.cwd()).splits["test"], config.budget.held_out_examples)
    return RunResult({"bleu": bleu(test.source_texts, test.target_texts)})


def classes(config: Config) -> int:
    """How many classes there are; a model with one logit has two."""
    return max(2, config.data.classes)


def _words(config: Config) -> tuple[dict[str, floors.Counts], dict[str, Any]]:
    """Counts of words, and labels or ratings, by split."""
    assert config.data.vocabulary is not None
    parts = budgeted_splits(config)
    counts = {split: floors.word_counts(tokens.numpy(), config.data.vocabulary) for split, (tokens, _) in parts.items()}
    return counts, {split: labels.numpy() for split, (_, labels) in parts.items()}


def _pixels(images: Tensor) -> floors.Floats:
    """Images (n, …) of bytes as rows (n, p) between -1/2 and 1/2."""
    rows: floors.Floats = images.flatten(1).to(torch.float32).numpy() / 255 - 0.5
    return rows


def _ngram(config: Config, order: int) -> RunResult:
    """The first subword of a window is context alone, as it is for the model."""
    assert config.data.vocabulary is not None
    parts = windows(config.data, Path.cwd())
    budget = config.budget
    train, test = (
        list(subset((parts[split],), size)[0].int().numpy())
        for split, size in (("train", budget.train_examples), ("test", budget.held_out_examples))
    )
    nats = floors.ngram_loss(train, test, config.data.vocabulary, order, given=1)
    return RunResult({"test_loss": nats, "test_perplexity": math.exp(nats)})
