"""Texts as an encoder reads them: word pieces, cut at a number of tokens, in batches as long as their longest text.

Padding is masked and changes nothing, so that a batch need not be padded to a fixed length, as the released code does.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from projects.smyrf.config import TextTask
from projects.smyrf.data.pairs import paired
from regard_lab import data
from regard_lab.data.texts import Texts
from regard_lab.training.trainer import Batches, seed_of

Batch = tuple[Tensor, Tensor, Tensor]
POOL = 16  # batches whose texts are sorted together by length


@dataclass(frozen=True, eq=False)
class Encoded(Dataset[Batch]):
    """One split: `ids` and `kinds` (which sentence of a pair) of each text's tokens, `labels` (n), float32 for ratings, else int64.

    `cut` says which texts were longer than the cut, `numbers` which of the task's texts they are. Batches: ids (b, n),
    padded at the end with `padding`; kinds (b, n); labels (b).
    """

    ids: list[list[int]]
    kinds: list[list[int]]
    cut: list[bool]
    labels: Tensor
    padding: int
    numbers: list[int]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> list[int]:
        return [len(ids) for ids in self.ids]

    def __getitem__(self, rows: list[int]) -> Batch:
        return (
            padded([self.ids[row] for row in rows], self.padding),
            padded([self.kinds[row] for row in rows], 0),
            self.labels[rows],
        )


def padded(lists: list[list[int]], padding: int) -> Tensor:
    """Lists of different lengths as one tensor (b, longest)."""
    longest = max(map(len, lists))
    return torch.tensor([numbers + [padding] * (longest - len(numbers)) for numbers in lists])


class Buckets(Batches):
    """Batches of texts of about one length: the order of an epoch is cut into stretches of `POOL` batches, each sorted
    by length, and the batches of all stretches are shuffled. Without a seed: sorted by length throughout.
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int | None = None) -> None:
        super().__init__(len(lengths), batch_size, seed)
        self.lengths = lengths

    def batches(self) -> list[list[int]]:
        if self.seed is None:
            return list(self._sorted(range(self.n), self.n))
        generator = torch.Generator().manual_seed(seed_of(self.seed, self.epoch))
        order = torch.randperm(self.n, generator=generator).tolist()
        batches = list(self._sorted(order, POOL * self.batch_size))
        return [batches[number] for number in torch.randperm(len(batches), generator=generator).tolist()]

    def _sorted(self, order: Sequence[int], stretch: int) -> Iterator[list[int]]:
        """Batches of an order of all texts, sorted by length within each stretch of it."""
        for start in range(0, self.n, stretch):
            rows = sorted(order[start : start + stretch], key=self.lengths.__getitem__)
            yield from (rows[first : first + self.batch_size] for first in range(0, len(rows), self.batch_size))


def loader(split: Encoded, batch_size: int, seed: int | None = None, *, bucketed: bool = True) -> DataLoader[Batch]:
    """Batches of a split; shuffled when a seed is given."""
    sampler = Buckets(split.lengths, batch_size, seed) if bucketed else Batches(len(split), batch_size, seed)
    return DataLoader(split, sampler=sampler, batch_size=None)


def encoded(
    task: TextTask, split: str, source: str, tokenizer: Any, tokens: int, examples: int | None, seed: int = 0
) -> Encoded:
    """A split of a task's data as an encoder reads it.

    Args:
        task: Names the data set and what becomes of its ratings.
        split: The split's name.
        source: The kind of source that the data set comes from.
        tokenizer: The encoder's.
        tokens: Where texts are cut.
        examples: How many texts, all if None.
        seed: Decides which texts.
    """
    texts, seconds, scores, numbers = labelled(loaded(task.data, source, Path.cwd())[split], task, examples, seed)
    pairs = {"text_pair": seconds} if any(seconds) else {}
    read = tokenizer(texts, **pairs, truncation=True, max_length=tokens + 1)
    cut = [len(ids) > tokens for ids in read["input_ids"]]
    if any(cut):
        read = tokenizer(texts, **pairs, truncation=True, max_length=tokens)
    ids = read["input_ids"]
    kinds = read.get("token_type_ids") or [[0] * len(row) for row in ids]
    labels = torch.tensor(scores, dtype=torch.float32 if task.classes == 1 else torch.int64)
    return Encoded(ids, kinds, cut, labels, tokenizer.pad_token_id, numbers)


def labelled(
    split: Any, task: TextTask, examples: int | None, seed: int = 0
) -> tuple[list[str], list[str], list[float], list[int]]:
    """`examples` of a split: texts, second sentences (empty for single texts), labels, and their numbers among the task's texts.

    A label is a rating as it is, a class as a number, or, with `neutral`, a class made from a rating.
    """
    single = isinstance(split, Texts)
    rows = [(text, "", float(label)) for text, label in split.rows()] if single else list(split.rows())
    if task.least_words:
        rows = [row for row in rows if len(row[0].split()) >= task.least_words]
    if task.pairs is not None:
        rows = paired(task.pairs, rows)
    if task.neutral is not None:
        rows = [(text, second, float(score > 0)) for text, second, score in rows if abs(score) > task.neutral]
    numbers = np.random.default_rng(seed).permutation(len(rows))[:examples].tolist()
    texts, seconds, scores = zip(*(rows[number] for number in numbers), strict=True)
    return list(texts), list(seconds), list(scores), numbers


@functools.cache
def loaded(name: str, source: str, root: Path) -> dict[str, Any]:
    """A data set, read once per process."""
    return data.load(name, root, source)
