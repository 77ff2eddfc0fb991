"""Pairs of sentences as numbers of their words."""

import functools
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from projects.cab.config import Translation
from projects.cab.data.series import Splits
from regard_lab import data
from regard_lab.data.subsets import drawn

PADDING, UNKNOWN, BEGIN, END = range(4)
_WORD = re.compile(r"\w+|[^\w\s]")


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
