"""Running text as windows of subwords for a language model."""

import functools
from pathlib import Path

import torch
from torch import Tensor

from projects.better_attention.config import Data
from regard_lab import data
from regard_lab.data.subwords import encode, learn_tokenizer


def windows(config: Data, root: Path) -> dict[str, Tensor]:
    """Each split's text as consecutive windows (n, length + 1) int32, the last subword of one being the first of the next.

    Raises:
        ValueError: A split has too few subwords for one window.
    """
    assert config.vocabulary is not None
    assert config.length is not None
    return _windows(config.name, config.source, config.vocabulary, config.length, root)


@functools.cache
def _windows(name: str, source: str, vocabulary: int, length: int, root: Path) -> dict[str, Tensor]:
    loaded = data.load(name, root, source)
    tokenizer = learn_tokenizer(loaded["train"].texts, vocabulary)
    splits = {}
    for split, texts in loaded.items():
        numbers = torch.tensor([number for ids in encode(tokenizer, texts.texts) for number in ids], dtype=torch.int32)
        if len(numbers) <= length:
            raise ValueError(f"{split} of {name} has {len(numbers)} subwords, a window needs {length} + 1")
        splits[split] = numbers.unfold(0, length + 1, length).clone()
    return splits
