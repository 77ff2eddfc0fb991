"""How data enter the three tasks: windows of series, windows of characters, and pairs of sentences as numbers."""

import functools
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from projects.cab.config import Lstf, Translation
from regard_lab import data
from regard_lab.data.series import Series
from regard_lab.data.subsets import drawn

Splits = dict[str, tuple[Tensor, ...]]

CLOCK = 4  # sine and cosine of the hour of the day and of the day of the week
UNKNOWN_CHARACTER = 0
PADDING, UNKNOWN, BEGIN, END = range(4)
_WORD = re.compile(r"\w+|[^\w\s]")


# Series.


def series_windows(name: str, source: str, task: Lstf) -> Splits:
    """The windows of each split, scaled by the training split, as in Informer.

    Args:
        name: A data set of series.
        source: The kind of source that it comes from.
        task: Lengths of the windows, and how many of them.

    Returns:
        By split: known values `(n, length, c)`, their clock `(n, length, 4)`, the horizon's clock `(n, horizon, 4)` and values `(n, horizon, c)`.

    Raises:
        ValueError: A split is shorter than one window.
    """
    splits = load_series(name, source)
    values = splits["train"].values
    mean, sd = values.mean(0), values.std(0)
    sd = np.where(sd > 0, sd, 1)
    sizes = {"train": task.train_examples}
    return {
        split: cut_series(
            (series.values - mean) / sd, clock_of(series.times), task, sizes.get(split, task.held_out_examples)
        )
        for split, series in splits.items()
    }


def cut_series(values: NDArray[Any], clock: NDArray[Any], task: Lstf, size: int | None) -> tuple[Tensor, ...]:
    """`size` of the windows that begin at every step, drawn, or all: what `series_windows` returns of a split."""
    whole = task.length + task.horizon
    count = len(values) - whole + 1
    if count < 1:
        raise ValueError(f"a split of {len(values)} steps has no window of {task.length} + {task.horizon}")
    starts = np.array(sorted(drawn(range(count), size)))
    steps = torch.from_numpy(starts[:, None] + np.arange(whole))
    numbers, clocks = (torch.from_numpy(part.astype(np.float32))[steps] for part in (values, clock))
    return numbers[:, : task.length], clocks[:, : task.length], clocks[:, task.length :], numbers[:, task.length :]


def clock_of(times: NDArray[np.int64]) -> NDArray[np.float64]:
    """Where in the day and in the week each time is, `(n, 4)`. Times are seconds `(n,)`."""
    turns = 2 * np.pi * times[:, None] / np.array([86_400, 7 * 86_400])
    return np.concatenate([np.sin(turns), np.cos(turns)], axis=1)


@functools.cache
def load_series(name: str, source: str) -> dict[str, Series]:
    """A data set's splits, read once per process."""
    splits: dict[str, Series] = data.load(name, Path.cwd(), source)
    return splits


# Characters.


def cut_text(text: Tensor, context: int, size: int | None) -> tuple[Tensor]:
    """`size` windows `(n, context + 1)` of those that follow each other without a gap, drawn, or all.

    Raises:
        ValueError: The text is shorter than one window.
    """
    count = (len(text) - 1) // context
    if count < 1:
        raise ValueError(f"a text of {len(text)} characters has no window of {context} + 1")
    starts = torch.tensor(sorted(drawn(range(count), size))) * context
    return (text[starts[:, None] + torch.arange(context + 1)],)


@functools.cache
def load_characters(name: str, source: str) -> dict[str, Tensor]:
    """Each split as numbers of its characters, uint8, read once per process; those that training never saw are `UNKNOWN_CHARACTER`."""
    splits = {split: "\n".join(texts.texts) for split, texts in data.load(name, Path.cwd(), source).items()}
    known = sorted(set(splits["train"]))[:255]
    number = {character: index for index, character in enumerate(known, start=1)}
    return {
        split: torch.from_numpy(
            np.array([number.get(character, UNKNOWN_CHARACTER) for character in text], dtype=np.uint8)
        )
        for split, text in splits.items()
    }


# Sentences.


def sentence_pairs(task: Translation, source: str) -> Splits:
    """The sentences of each split, as many as the task asks for: sources `(n, length)` and targets `(n, length)`."""
    sizes = {"train": task.train_examples}
    return {
        split: choose_pairs(pairs, sizes.get(split, task.held_out_examples))
        for split, pairs in load_pairs(task.set, source, task.vocabulary, task.length).items()
    }


def choose_pairs(pairs: tuple[Tensor, Tensor], size: int | None) -> tuple[Tensor, Tensor]:
    """`size` sentences with their translations, drawn, or all."""
    rows = torch.tensor(sorted(drawn(range(len(pairs[0])), size)))
    return pairs[0][rows], pairs[1][rows]


@functools.cache
def load_pairs(name: str, source: str, vocabulary: int, length: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Sources and targets, int16, of each split, those pairs that fit; read and encoded once per process."""
    splits = {
        split: [
            pair
            for pair in zip(map(words_of, pairs.sources), map(words_of, pairs.targets), strict=True)
            if fits(pair, length)
        ]
        for split, pairs in data.load(name, Path.cwd(), source).items()
    }
    words = [vocabulary_of((pair[side] for pair in splits["train"]), vocabulary) for side in range(2)]
    return {
        split: (
            numbered([source for source, _ in pairs], words[0], length),
            numbered([[*target] for _, target in pairs], words[1], length, ends=True),
        )
        for split, pairs in splits.items()
    }


def fits(pair: tuple[list[str], list[str]], length: int) -> bool:
    """Do a source and, with its two ends, a target have at most `length` words, and at least one?"""
    return 1 <= len(pair[0]) <= length and 1 <= len(pair[1]) <= length - 2


def words_of(text: str) -> list[str]:
    """Lower-case words and signs."""
    return _WORD.findall(text.lower())


def vocabulary_of(sentences: Iterable[list[str]], size: int) -> dict[str, int]:
    """The `size` - 4 most frequent words, numbered from 4 by falling frequency, equal ones by the alphabet."""
    counts = Counter(word for sentence in sentences for word in sentence)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[: size - 4]
    return {word: number for number, word in enumerate(ranked, start=4)}


def numbered(sentences: list[list[str]], words: dict[str, int], length: int, ends: bool = False) -> Tensor:
    """Sentences as numbers `(n, length)`, padded at the end; with `ends` between BEGIN and END."""
    table = np.full((len(sentences), length), PADDING, dtype=np.int16)
    for row, sentence in enumerate(sentences):
        numbers = [words.get(word, UNKNOWN) for word in sentence]
        numbers = [BEGIN, *numbers, END] if ends else numbers
        table[row, : len(numbers)] = numbers
    return torch.from_numpy(table)
