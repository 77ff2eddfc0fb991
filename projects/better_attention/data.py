"""The splits of a data set as tensors, ready for the model: words as numbers, pictures as patches' pixels.

text    tokens (n, length) int64, 0 = padding, at the end                                labels (n) int64
image   pixels (n, image_size, image_size) float32 in the training split's own units     labels (n) int64
"""

import functools
import html
import re
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from projects.better_attention.project import Data
from regard_lab import data

Split = tuple[Tensor, Tensor]
PADDING, UNKNOWN = 0, 1
_WORD = re.compile(r"[a-z0-9']+")


def splits(config: Data, root: Path) -> dict[str, Split]:
    """The train, validation and test splits of the configured data set; read and encoded once a process."""
    key = (config.name, config.source, config.vocabulary, config.length, config.image_size)
    return _encoded(key, root)


@functools.cache
def _encoded(key: tuple[str, str, int | None, int | None, int | None], root: Path) -> dict[str, Split]:
    name, source, vocabulary, length, image_size = key
    loaded = data.load(name, root, source)
    if vocabulary is not None and length is not None:
        words = vocabulary_of(loaded["train"].texts, vocabulary)
        encoded = {split: encode(texts.texts, words, length) for split, texts in loaded.items()}
    elif image_size is not None:
        train = loaded["train"].images
        mean, sd = float(train.mean()), float(train.std())
        encoded = {split: pixels(images.images, mean, sd, image_size) for split, images in loaded.items()}
    else:
        raise ValueError(f"data set {name} must set vocabulary and length (texts) or image_size (pictures)")
    return {split: (inputs, torch.from_numpy(loaded[split].labels)) for split, inputs in encoded.items()}


def words_of(text: str) -> list[str]:
    """Lower-case words of letters, digits and apostrophes; mark-up and punctuation fall away."""
    return _WORD.findall(html.unescape(text).replace("<br />", " ").lower())


def vocabulary_of(texts: list[str], size: int) -> dict[str, int]:
    """The `size` - 2 most frequent words, numbered from 2 by falling frequency, equal ones by the alphabet."""
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


def pixels(images: np.ndarray, mean: float, sd: float, size: int) -> Tensor:
    """uint8 pictures (n, height, width) -> float32 (n, size, size): centred and scaled by the training split, resized if need be."""
    scaled = (torch.from_numpy(images).float() - mean) / sd
    if scaled.shape[-1] == size:
        return scaled
    return F.interpolate(scaled[:, None], size=(size, size), mode="bilinear", antialias=True)[:, 0]


def patches(images: Tensor, size: int) -> Tensor:
    """Pictures (n, height, width) -> flattened square patches (n, tokens, size · size), row by row."""
    if images.shape[-1] % size or images.shape[-2] % size:
        raise ValueError(f"patches of {size} pixels do not tile pictures of {tuple(images.shape[-2:])}")
    cut = images.unfold(1, size, size).unfold(2, size, size)  # n rows columns size size
    return cut.flatten(3).flatten(1, 2)
