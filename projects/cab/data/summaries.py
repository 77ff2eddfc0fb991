"""News articles with what stands at their head, as subwords: the headline and the first paragraph are to be written from the rest."""

import functools
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from projects.cab.config import Summary
from regard_lab import data
from regard_lab.data.subsets import drawn
from regard_lab.data.subwords import BEGIN, END, PADDING, encode, learn_tokenizer

LEAST_PARAGRAPHS = 3  # headline, first paragraph, and something to write them from


@dataclass(frozen=True, eq=False)
class Articles:
    """One split: `sources` and `summaries` as texts, and as subwords `source` `(n, source_length)` and `target` `(n, target_length)`.

    A target stands between BEGIN and END; one that is too long loses its end. PADDING fills up.
    """

    sources: list[str]
    summaries: list[str]
    source: Tensor
    target: Tensor


def articles(task: Summary, source: str) -> tuple[Tokenizer, dict[str, Articles]]:
    """The tokenizer, learned from the training split, and the articles of each split, as many as the task asks for."""
    texts, tokenizer = load_articles(task.set, source, task.vocabulary)
    splits = {}
    for split, pairs in texts.items():
        size = task.train_examples if split == "train" else task.held_out_examples
        chosen = [pairs[row] for row in sorted(drawn(range(len(pairs)), size))]
        sources, summaries = [pair[0] for pair in chosen], [pair[1] for pair in chosen]
        read = [numbers[: task.source_length] for numbers in encode(tokenizer, sources)]
        written = [[BEGIN, *numbers[: task.target_length - 2], END] for numbers in encode(tokenizer, summaries)]
        splits[split] = Articles(
            sources, summaries, padded(read, task.source_length), padded(written, task.target_length)
        )
    return tokenizer, splits


@functools.cache
def load_articles(name: str, source: str, vocabulary: int) -> tuple[dict[str, list[tuple[str, str]]], Tokenizer]:
    """Each split's articles that have a body, and the tokenizer; read once per process."""
    splits = {
        split: [pair for text in texts.texts if (pair := parted(text)) is not None]
        for split, texts in data.load(name, Path.cwd(), source).items()
    }
    return splits, learn_tokenizer((text for pair in splits["train"] for text in pair), vocabulary)


def parted(text: str) -> tuple[str, str] | None:
    """An article's body, and its headline with its first paragraph; `None` where there is no more than these."""
    paragraphs = [paragraph.strip() for paragraph in text.split("\n") if paragraph.strip()]
    if len(paragraphs) < LEAST_PARAGRAPHS:
        return None
    return " ".join(paragraphs[2:]), f"{paragraphs[0]}. {paragraphs[1]}"


def padded(rows: list[list[int]], length: int) -> Tensor:
    """Rows of numbers as `(n, length)`, int16."""
    table = torch.full((len(rows), length), PADDING, dtype=torch.int16)
    for place, row in enumerate(rows):
        table[place, : len(row)] = torch.tensor(row, dtype=torch.int16)
    return table
