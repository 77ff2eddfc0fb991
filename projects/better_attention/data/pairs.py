"""Pairs of sentences as subwords. A source has at most `length` of them; so has a target, with BEGIN before it or END after it."""

import functools
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from projects.better_attention.config import Data
from regard_lab import data
from regard_lab.data.subwords import BEGIN, END, PADDING, encode, learn_tokenizer


@dataclass(frozen=True)
class Parallel:
    """A split: `sources` (n, length) and `targets` (n, length + 1) int64, padded at the end, and the texts that they encode."""

    sources: Tensor
    targets: Tensor
    source_texts: list[str]
    target_texts: list[str]

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        return self.sources, self.targets


@dataclass(frozen=True)
class Bilingual:
    """The splits, and the tokenizer of the targets."""

    splits: dict[str, Parallel]
    target: Tokenizer


def bilingual(config: Data, root: Path) -> Bilingual:
    """The configured pairs that fit into `length`; read and encoded once per process."""
    assert config.vocabulary is not None
    assert config.length is not None
    return _bilingual(config.name, config.source, config.vocabulary, config.length, root)


@functools.cache
def _bilingual(name: str, source: str, vocabulary: int, length: int, root: Path) -> Bilingual:
    loaded = data.load(name, root, source)
    tokenizers = [learn_tokenizer(texts, vocabulary) for texts in (loaded["train"].sources, loaded["train"].targets)]
    splits = {}
    for split, pairs in loaded.items():
        numbers = zip(encode(tokenizers[0], pairs.sources), encode(tokenizers[1], pairs.targets), strict=True)
        fitting = [
            (index, source_side, target_side)
            for index, (source_side, target_side) in enumerate(numbers)
            if 0 < len(source_side) <= length and 0 < len(target_side) < length
        ]
        splits[split] = Parallel(
            padded([source_side for _, source_side, _ in fitting], length),
            padded([[BEGIN, *target_side, END] for _, _, target_side in fitting], length + 1),
            [pairs.sources[index] for index, _, _ in fitting],
            [pairs.targets[index] for index, _, _ in fitting],
        )
    return Bilingual(splits, tokenizers[1])


def padded(rows: list[list[int]], length: int) -> Tensor:
    """Rows as one tensor (n, length), with PADDING at the end."""
    table = torch.full((len(rows), length), PADDING)
    for index, row in enumerate(rows):
        table[index, : len(row)] = torch.tensor(row)
    return table
