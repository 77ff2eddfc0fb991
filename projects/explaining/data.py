"""Texts as tokens: words by frequency for the small encoder, word pieces for the pre-trained one, and two synthetic tasks.

    tokens (n, length) int64, 0 = padding, at the end            labels (n) int64

One of the synthetic tasks is solved by a bag of tokens; in the other no sum over tokens and places tells anything:

    majority(n, length, seed)    B A A B A …                             -> 1 if A is more frequent        the label is in the counts
    lookup(n, length, seed)      hat? · cup new · hat red · map old …    -> what is said of the hat        only the question says which token counts

A token of `lookup` is a thing with what is said of it, as a line of a table holds both. Every text has the same things,
in a random order, and says each of the answers equally often; so the label follows from the question and one other
token together, and from neither of them alone.

They are pure functions of their arguments, with as many texts of each class.
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

from projects.explaining.config import Data
from regard_lab import data
from regard_lab.data.subsets import drawn

PADDING, UNKNOWN, FIRST = 0, 1, 2  # `FIRST` is the first word
SPLITS = ("train", "validation", "test")
NUMBER = "qqq"  # any word with a digit, as in Jain and Wallace's code
_WORD = re.compile(r"\w+(?:'\w+)?|[!?]")


@dataclass(frozen=True)
class Encoded:
    """The splits of a task as tokens and labels, and the word behind each token's number."""

    splits: dict[str, tuple[Tensor, Tensor]]
    words: list[str]


def encoded(config: Data, vocabulary: int, root: Path, tokenizer: Any = None) -> Encoded:
    """The configured texts, as many of each split as are asked for.

    Args:
        config: Which texts, how many, and how long.
        vocabulary: How many of the training split's words are known; the others are one unknown word.
        root: The folder of the repository.
        tokenizer: A Hugging Face tokenizer, whose word pieces then take the place of words.

    Returns:
        The splits as tokens and labels, and the words.
    """
    sizes = dict(zip(SPLITS, (config.train_texts, config.validation_texts, config.test_texts), strict=True))
    if config.kind == "synthetic":
        task, words = SYNTHETIC_TASKS[config.name], SYNTHETIC_WORDS[config.name]
        parts = {split: task(size, config.length, seed) for seed, (split, size) in enumerate(sizes.items())}
        return Encoded(parts, ["", "?", *words])
    loaded = data.load(config.name, root, config.source)
    rows = {split: drawn(labelled(loaded, config, split), size) for split, size in sizes.items()}
    if tokenizer is None:
        words = frequent([text for text, _ in rows["train"]], vocabulary)
        numbers = {word: number for number, word in enumerate(words)}
        return Encoded({split: as_tensors(some, numbers, config.length) for split, some in rows.items()}, words)
    pieces = {split: as_pieces(some, tokenizer, config.length) for split, some in rows.items()}
    return Encoded(pieces, tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))))


def labelled(loaded: dict[str, Any], config: Data, split: str) -> list[tuple[str, int]]:
    """(text, class) of a split: the kept labels, renumbered from 0; of ratings their sign, and ratings of 0 are dropped."""
    if config.kind == "ratings":
        part = loaded[f"movie_{split}"]
        return [(text, int(score > 0)) for text, score in zip(part.texts, part.scores, strict=True) if score != 0]
    kept = range(config.classes) if config.kept is None else config.kept
    number = {label: index for index, label in enumerate(kept)}
    part = loaded[split]
    return [
        (text, number[label]) for text, label in zip(part.texts, part.labels.tolist(), strict=True) if label in number
    ]


def words_of(text: str) -> list[str]:
    """Words in lower case, ! and ?; a word with a digit becomes `qqq`."""
    plain = html.unescape(text).replace("<br />", " ").lower()
    return [NUMBER if any(letter.isdigit() for letter in word) else word for word in _WORD.findall(plain)]


def frequent(texts: list[str], size: int) -> list[str]:
    """Padding, the unknown word, and the `size` − 2 most frequent words, equal ones by the alphabet."""
    counts = Counter(word for text in texts for word in words_of(text))
    return ["", "?", *sorted(counts, key=lambda word: (-counts[word], word))[: size - 2]]


def as_tensors(rows: list[tuple[str, int]], numbers: dict[str, int], length: int) -> tuple[Tensor, Tensor]:
    """The first `length` words of each text; a text without words becomes one unknown word."""
    tokens = np.full((len(rows), length), PADDING, dtype=np.int64)
    for row, (text, _) in enumerate(rows):
        words = [numbers.get(word, UNKNOWN) for word in words_of(text)[:length]] or [UNKNOWN]
        tokens[row, : len(words)] = words
    return torch.from_numpy(tokens), torch.tensor([label for _, label in rows])


def as_pieces(rows: list[tuple[str, int]], tokenizer: Any, length: int) -> tuple[Tensor, Tensor]:
    """The first `length` word pieces of each text, [CLS] and [SEP] among them."""
    texts = [html.unescape(text).replace("<br />", " ") for text, _ in rows]
    ids = tokenizer(texts, truncation=True, max_length=length, padding="max_length", return_tensors="pt")["input_ids"]
    return ids, torch.tensor([label for _, label in rows])


def majority(n: int, length: int, seed: int) -> tuple[Tensor, Tensor]:
    """Which of two tokens is more frequent; the margin is drawn uniformly, and never 0."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    most = torch.randint(length // 2 + 1, length + 1, (n,), generator=generator)
    order = torch.rand(n, length, generator=generator).argsort(-1)
    is_winner = order < most[:, None]
    tokens = torch.where(is_winner, 1 - labels[:, None], labels[:, None])  # the winner is A (0) where the label is 1
    return tokens + FIRST, labels


def lookup(n: int, length: int, seed: int) -> tuple[Tensor, Tensor]:
    """A question for one of `length` − 1 things, and for each of them, in a random order, a token with the thing and one of four answers.

    Raises:
        ValueError: There are fewer things than the length asks for, or answers cannot be equally frequent.
    """
    things, answers = length - 1, len(ANSWERS)
    if things > len(THINGS) or things % answers:
        raise ValueError(
            f"a lookup has one token more than things, {answers} to {len(THINGS)} in steps of {answers}; got length = {length}"
        )
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % answers
    order = torch.rand(n, things, generator=generator).argsort(-1)
    said = torch.rand(n, things, generator=generator).argsort(-1) % answers  # of the thing at each place
    asked = torch.rand(n, things, generator=generator).masked_fill(said != labels[:, None], -1).argmax(-1, keepdim=True)
    question = answers * len(THINGS) + order.gather(1, asked)
    return torch.cat([question, answers * order + said], 1) + FIRST, labels


ANSWERS = ("old", "new", "red", "blue")
THINGS = (
    *("hat", "cup", "map", "key", "bag", "box", "pen", "bed", "car", "cap", "jar", "net"),
    *("door", "lamp", "coat", "ring", "boat", "desk", "bell", "book", "rope", "vase", "gate", "sofa"),
)
SYNTHETIC_TASKS = {"majority": majority, "lookup": lookup}
SYNTHETIC_WORDS = {
    "majority": ["A", "B"],
    "lookup": [
        *(f"{thing} {answer}" for thing in THINGS for answer in ANSWERS),
        *(f"{thing}?" for thing in THINGS),
    ],
}
