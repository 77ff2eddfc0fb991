"""Translation of short sentences: an encoder–decoder (Vaswani et al. 2017), for causal cross attention. Under test is the decoder's cross attention.

The decoder may see all of the English source and only what stands before of the Spanish target. Words are lower-case words and signs;
perplexity is per Spanish word, its end included, given the true words before it.
"""

import functools
import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.cab.config import Attention, Config, Translation
from projects.cab.learning import Learning, held_out, learnt, leave, trained
from projects.cab.slots import CrossBlock, SelfBlock, Slots, positions
from regard_lab import data
from regard_lab.data.subsets import drawn
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.trainer import evaluate

INDEX_METRICS = ("perplexity",)
PADDING, UNKNOWN, BEGIN, END = range(4)
_WORD = re.compile(r"\w+|[^\w\s]")


def measure(config: Config, folder: Path) -> RunResult:
    """Perplexity and accuracy of the next word on test sentences, the parameters of the layers under test, and the seconds of training."""
    assert config.translation is not None
    return RunResult(learnt(config, train, config.translation, [config.translation.set]))


def train(what: Learning, folder: Path) -> None:
    """Train the model and leave its metrics."""
    task: Translation = what.task
    budget = {"train": task.fitting.train_examples}
    parts = {
        split: chosen(pair, budget.get(split, task.fitting.held_out_examples))
        for split, pair in encoded(task.set, what.source, task.vocabulary, task.length).items()
    }
    torch.manual_seed(what.seed)
    model = Translator(task, what.attention, what.pattern)
    learner, seconds = trained(model, score, parts, task.fitting, what.seed, folder)
    found = evaluate(learner, held_out(parts["test"], task.fitting))
    leave(
        folder,
        {
            "perplexity": math.exp(found["nats"] / found["words"]),
            "accuracy": 100 * found["right"] / found["words"],
            "attention_parameters": float(model.slots.parameters()),
            "train_time_s": seconds,
        },
    )


class Translator(nn.Module):
    """Source (b, m) and target so far (b, n) -> logits of the next words (b, n, vocabulary)."""

    def __init__(self, task: Translation, attention: Attention, pattern: str) -> None:
        super().__init__()
        place = {"width": task.width, "heads": task.heads}
        sizes = {"width": task.width, "hidden": task.feed_forward, "dropout": task.dropout}
        self.slots = Slots(attention, pattern, **place, length=task.length)
        self.embeddings = nn.ModuleList(nn.Embedding(task.vocabulary, task.width) for _ in range(2))
        for embedding in self.embeddings:
            nn.init.normal_(embedding.weight, std=task.width**-0.5)
        self.register_buffer("positions", positions(task.length, task.width), False)
        self.encoder = nn.ModuleList(
            SelfBlock(self.slots.layer("noncausal_self"), **sizes) for _ in range(task.encoder_layers)
        )
        self.decoder = nn.ModuleList(
            CrossBlock(self.slots.layer("causal_self"), self.slots.layer("causal_cross"), **sizes)
            for _ in range(task.decoder_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(task.width) for _ in range(2))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        source_mask, target_mask = source != PADDING, target != PADDING
        context = self.embed(0, source)
        for block in self.encoder:
            context = block(context, source_mask)
        context, x = self.norms[0](context), self.embed(1, target)
        for block in self.decoder:
            x = block(x, context, target_mask, source_mask)
        return self.norms[1](x) @ self.embeddings[1].weight.T

    def embed(self, side: int, words: Tensor) -> Tensor:
        embedding = self.embeddings[side]
        return embedding(words) * math.sqrt(embedding.embedding_dim) + self.positions[: words.shape[1]]


def score(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Nats a word over the batch; and a sentence's nats, words and words that were the likeliest, on average."""
    source, target = (each.long() for each in batch)
    logits, wanted = model(source, target[:, :-1]), target[:, 1:]
    real = wanted != PADDING
    nats = F.cross_entropy(logits.mT, wanted, reduction="none") * real
    right = (logits.argmax(-1) == wanted) & real
    sentences = len(source)
    return {
        "loss": nats.sum() / real.sum(),
        "nats": nats.sum() / sentences,
        "words": real.sum() / sentences,
        "right": right.sum() / sentences,
    }


def chosen(pair: tuple[Tensor, Tensor], wanted: int | None) -> tuple[Tensor, Tensor]:
    """`wanted` sentences, drawn, or all."""
    places = torch.tensor(sorted(drawn(range(len(pair[0])), wanted)))
    return pair[0][places], pair[1][places]


@functools.cache
def encoded(name: str, source: str, vocabulary: int, length: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Sources (n, length) and targets (n, length) int16 of each split, those pairs that fit; read and encoded once a process."""
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
    """Do a source and, with its two ends, a target have `length` words at most, and one at least?"""
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
    """Sentences as numbers (n, length), padded at the end; `ends`: between BEGIN and END."""
    table = np.full((len(sentences), length), PADDING, dtype=np.int16)
    for row, sentence in enumerate(sentences):
        numbers = [words.get(word, UNKNOWN) for word in sentence]
        numbers = [BEGIN, *numbers, END] if ends else numbers
        table[row, : len(numbers)] = numbers
    return torch.from_numpy(table)
