"""Texts as tokens: words by frequency for the small encoder, word pieces for the pre-trained one.

tokens (n, length) int64, 0 = padding, at the end                                              labels (n) int64
"""

import html
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from projects.explaining import synthetic
from projects.explaining.config import Data, Training
from regard_lab import data
from regard_lab.data.subsets import drawn

PADDING, UNKNOWN = 0, 1
SPLITS = ("train", "validation", "test")
NUMBER = "qqq"  # any word with a digit, as Jain and Wallace have it
_WORD = re.compile(r"\w+(?:'\w+)?|[!?]")


@dataclass(frozen=True)
class Encoded:
    """The splits of a task, and what a token's number stands for."""

    splits: dict[str, tuple[Tensor, Tensor]]
    words: list[str]


def encoded(config: Data, training: Training, vocabulary: int, root: Path, tokenizer: Any = None) -> Encoded:
    """The configured texts, as many of each split as `training` asks for. With a `tokenizer` its word pieces, else the train split's words."""
    sizes = dict(zip(SPLITS, (training.train_texts, training.validation_texts, training.test_texts), strict=True))
    if config.kind == "made":
        task = synthetic.TASKS[config.name]
        parts = {split: task(size, config.length, seed) for seed, (split, size) in enumerate(sizes.items())}
        return Encoded(parts, ["", "?", *synthetic.WORDS[config.name]])
    loaded = data.load(config.name, root, config.source)
    rows = {split: drawn(labelled(loaded, config, split), size) for split, size in sizes.items()}
    if tokenizer is None:
        words = frequent([text for text, _ in rows["train"]], vocabulary)
        numbers = {word: number for number, word in enumerate(words)}
        return Encoded({split: as_tensors(some, numbers, config.length) for split, some in rows.items()}, words)
    pieces = {split: as_pieces(some, tokenizer, config.length) for split, some in rows.items()}
    return Encoded(pieces, tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))))


def labelled(loaded: dict[str, Any], config: Data, split: str) -> list[tuple[str, int]]:
    """(text, class) of a split: the kept labels, numbered anew; of ratings the sign, without those of 0."""
    if config.kind == "ratings":
        part = loaded[f"movie_{split}"]
        return [(text, int(score > 0)) for text, score in zip(part.texts, part.scores, strict=True) if score != 0]
    kept = range(config.classes) if config.kept is None else config.kept
    number = {label: place for place, label in enumerate(kept)}
    part = loaded[split]
    return [
        (text, number[label]) for text, label in zip(part.texts, part.labels.tolist(), strict=True) if label in number
    ]


def words_of(text: str) -> list[str]:
    """Words in lower case, ! and ?; a word with a digit is `qqq`."""
    plain = html.unescape(text).replace("<br />", " ").lower()
    return [NUMBER if any(letter.isdigit() for letter in word) else word for word in _WORD.findall(plain)]


def frequent(texts: list[str], size: int) -> list[str]:
    """Padding, the unknown word, and the `size` − 2 most frequent words, equal ones by the alphabet."""
    counts = Counter(word for text in texts for word in words_of(text))
    return ["", "?", *sorted(counts, key=lambda word: (-counts[word], word))[: size - 2]]


def as_tensors(rows: list[tuple[str, int]], numbers: dict[str, int], length: int) -> tuple[Tensor, Tensor]:
    """The first `length` words of each text; a text without words is one unknown word."""
    tokens = np.full((len(rows), length), PADDING, dtype=np.int64)
    for place, (text, _) in enumerate(rows):
        found = [numbers.get(word, UNKNOWN) for word in words_of(text)[:length]] or [UNKNOWN]
        tokens[place, : len(found)] = found
    return torch.from_numpy(tokens), torch.tensor([label for _, label in rows])


def as_pieces(rows: list[tuple[str, int]], tokenizer: Any, length: int) -> tuple[Tensor, Tensor]:
    """The first `length` word pieces of each text, [CLS] and [SEP] among them."""
    texts = [html.unescape(text).replace("<br />", " ") for text, _ in rows]
    ids = tokenizer(texts, truncation=True, max_length=length, padding="max_length", return_tensors="pt")["input_ids"]
    return ids, torch.tensor([label for _, label in rows])
