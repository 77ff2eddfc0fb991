"""Labelled data sets as tensors, ready for the encoder: words as numbers, pixels as bytes.

text    tokens (n, length) int64, 0 = padding, at the end                labels (n) int64, or ratings (n) float32
image   pixels (n, height, width[, channels]) uint8                      labels (n) int64
"""

import functools
import html
import re
from collections import Counter
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from projects.better_attention.config import Data
from projects.better_attention.data.lookups import lookups
from regard_lab import data
from regard_lab.data.subsets import drawn

Split = tuple[Tensor, Tensor]
SPLITS = ("train", "validation", "test")
PADDING, UNKNOWN = 0, 1
_WORD = re.compile(r"[a-z0-9']+")


@dataclass(frozen=True)
class Encoded:
    """The splits, and for texts the words by their numbers (none for padding and the unknown)."""

    splits: dict[str, Split]
    words: list[str]


def splits(config: Data, root: Path) -> dict[str, Split]:
    """The train, validation and test splits of the configured data set; read and encoded once per process.

    Raises:
        ValueError: The config has the sizes of neither texts nor images.
    """
    return _encoded(astuple(config), root).splits


def words(config: Data, root: Path) -> list[str]:
    """The words of a set of texts by their numbers in the tokens; padding is "", an unknown word "…"."""
    return _encoded(astuple(config), root).words


def subset(tensors: tuple[Tensor, ...], size: int | None) -> tuple[Tensor, ...]:
    """`size` random rows of a split, the same each time, or all rows as they stand: the first ones may be mostly of one class."""
    if size is None:
        return tensors
    rows = drawn(range(len(tensors[0])), size)
    return tuple(tensor[rows] for tensor in tensors)


@functools.cache
def _encoded(key: tuple[Any, ...], root: Path) -> Encoded:
    config = Data(*key)
    loaded = data.load(config.name, root, config.source)
    parts = {split: loaded[f"{config.part}_{split}" if config.part else split] for split in SPLITS}
    if config.vocabulary is not None and config.length is not None:
        numbers = vocabulary_of(parts["train"].texts, config.vocabulary)
        if config.target == "lookup":
            tokens = {split: encode(part.texts, numbers, config.length - 1) for split, part in parts.items()}
            return Encoded(with_lookups(tokens, config), ["", "…", *numbers])
        tokens = {split: encode(part.texts, numbers, config.length) for split, part in parts.items()}
        labelled = {split: with_labels(tokens[split], part, config.target) for split, part in parts.items()}
        return Encoded(labelled, ["", "…", *numbers])
    if config.image_size is not None:
        pixels = {s: (torch.from_numpy(p.images), torch.from_numpy(p.labels)) for s, p in parts.items()}
        return Encoded(pixels, [])
    raise ValueError(f"data set {config.name} must set vocabulary and length (texts) or image_size (images)")


def with_labels(tokens: Tensor, part: Any, target: str) -> Split:
    """Tokens with their labels; of rated texts with their ratings, or with whether these are above 0, where ratings of 0 are dropped."""
    if target == "rating":
        return tokens, torch.from_numpy(part.scores).float()
    if not hasattr(part, "scores"):
        return tokens, torch.from_numpy(part.labels)
    scores = torch.from_numpy(part.scores)
    return tokens[scores != 0], (scores[scores != 0] > 0).long()


def with_lookups(tokens: dict[str, Tensor], config: Data) -> dict[str, Split]:
    """Examples of the task of `data/lookups.py` from each split's words; a split's seed is its number."""
    assert config.keys is not None
    assert config.planted is not None
    return {
        split: lookups(tokens[split], keys=config.keys, planted=config.planted, seed=number)
        for number, split in enumerate(SPLITS)
    }


def words_of(text: str) -> list[str]:
    """Lower-case words of letters, digits and apostrophes; mark-up and punctuation are dropped."""
    return _WORD.findall(html.unescape(text).replace("<br />", " ").lower())


def vocabulary_of(texts: list[str], size: int) -> dict[str, int]:
    """The `size` - 2 most frequent words, numbered from 2 by decreasing frequency, ties in alphabetical order."""
    counts = Counter(word for text in texts for word in words_of(text))
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[: size - 2]
    return {word: number for number, word in enumerate(ranked, start=2)}


def encode(texts: list[str], vocabulary: dict[str, int], length: int) -> Tensor:
    """The last `length` words of each text as numbers (n, length)."""
    tokens = np.full((len(texts), length), PADDING, dtype=np.int64)
    for row, text in enumerate(texts):
        numbers = [vocabulary.get(word, UNKNOWN) for word in words_of(text)[-length:]]
        tokens[row, : len(numbers)] = numbers
    return torch.from_numpy(tokens)
