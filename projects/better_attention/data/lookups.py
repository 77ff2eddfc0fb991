"""A task on film reviews that needs attention: look up the word that belongs to a queried one.

    tokens (n, length) int64    place 0 the query; then the last words of a review, in which `planted` words were put at random places
    labels (n) int64            the class of the planted word whose key is queried

There are `keys` keys. Each has a query word, and two words that carry it, one of class 0 and one of class 1: three
words per key, consecutive in the order of frequency from `FIRST` on, all of them words of the reviews. A text has words
of `planted` different keys, each of a class drawn by itself, and asks for one of them. So no linear model of a bag of
words tells the class: the vote of a text's planted words is right in ½ + C(p - 1, ⌊(p - 1) / 2⌋) / 2^p of the texts,
68.75 % with p = 4 planted words, 65.6 % with 6. Which of them counts is told by the query alone: a model must compare
words with each other, or have as many units after its pooling as there are keys.

Key and class are one word's and not two neighbours', because one layer of attention can find a word but not the word
after it (for that it takes two, Olsson et al. 2022, "In-context Learning and Induction Heads"), and the paper's model
of reviews has one.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FIRST = 400  # the rank of the first of the task's words: no function word, and frequent enough to look like the rest
WORDS_PER_KEY = 3  # the query, and the carriers of class 0 and of class 1


def most_keys(vocabulary: int) -> int:
    """How many keys a vocabulary has words for; its first two numbers are padding and the unknown."""
    return max(0, (vocabulary - 2 - FIRST) // WORDS_PER_KEY)


def lookups(reviews: Tensor, *, keys: int, planted: int, seed: int) -> tuple[Tensor, Tensor]:
    """One example per review, except where a word of the task stands in it by itself, or where it is too short.

    Args:
        reviews: The last words of each review as numbers (r, words), with 0 at the end of one that has fewer.
        keys: How many there are.
        planted: How many of them a text has.
        seed: Of the places, keys and classes.

    Returns:
        Tokens (n, 1 + words) and labels (n,), in the order of the reviews.

    Raises:
        ValueError: There are fewer keys, or fewer words in a review, than are planted.
    """
    words = reviews.shape[1]
    if planted > min(keys, words):
        raise ValueError(f"{planted} words cannot be planted with {keys} keys into {words} words")
    first = 2 + FIRST
    own = (reviews >= first) & (reviews < first + WORDS_PER_KEY * keys)
    texts = reviews[~(own | (reviews == 0)).any(1)].numpy().copy()
    random = np.random.default_rng(seed)
    places, chosen = (_different(random, len(texts), among)[:, :planted] for among in (words, keys))
    classes = random.integers(0, 2, (len(texts), planted))
    np.put_along_axis(texts, places, carrier(chosen, classes), 1)
    tokens = np.concatenate([query(chosen[:, :1]), texts], 1)
    return torch.from_numpy(tokens), torch.from_numpy(classes[:, 0])


def query(key: NDArray[np.int64]) -> NDArray[np.int64]:
    """The word that asks for a key."""
    return 2 + FIRST + WORDS_PER_KEY * key


def carrier(key: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """The word that carries a key and a class."""
    return query(key) + 1 + label


def _different(random: np.random.Generator, rows: int, numbers: int) -> NDArray[np.int64]:
    """A random order of 0 … `numbers` - 1 for each row."""
    return random.random((rows, numbers)).argsort(1)
