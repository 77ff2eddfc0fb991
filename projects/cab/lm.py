"""A language model of characters: a decoder like GPT-2, for causal self attention. Every layer is under test.

Positions are sines, so that a model can be asked for contexts that it was not trained on: a quarter, a half and twice its own. Perplexity is per
character, over text cut into windows of the context, without any text before a window.
"""

import functools
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.cab.config import Attention, Config, Lm
from projects.cab.learning import Learning, held_out, learnt, leave, trained
from projects.cab.slots import SelfBlock, Slots, positions
from regard_lab import data
from regard_lab.data.subsets import drawn
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.trainer import evaluate

INDEX_METRICS = ("perplexity",)
UNKNOWN = 0
CONTEXTS = {"quarter": 0.25, "half": 0.5, "full": 1.0, "double": 2.0}  # of the context in training


def measure(config: Config, folder: Path) -> RunResult:
    """Perplexity at four contexts, the parameters of the layers under test, and the seconds of training."""
    assert config.lm is not None
    return RunResult(learnt(config, train, config.lm, [config.lm.set]))


def train(what: Learning, folder: Path) -> None:
    """Train the model and leave its metrics."""
    task: Lm = what.task
    texts = characters(task.set, what.source)
    vocabulary = int(max(text.max() for text in texts.values())) + 1
    torch.manual_seed(what.seed)
    model = Decoder(task, what.attention, what.pattern, vocabulary)
    parts = {
        split: cut(
            text, task.context, task.fitting.train_examples if split == "train" else task.fitting.held_out_examples
        )
        for split, text in texts.items()
    }
    learner, seconds = trained(model, score, parts, task.fitting, what.seed, folder)
    metrics = {"attention_parameters": float(model.slots.parameters()), "train_time_s": seconds}
    wanted = len(parts["test"][0]) * task.context  # characters, the same at every context
    for name, part in CONTEXTS.items():
        context = round(part * task.context)
        found = evaluate(learner, held_out(cut(texts["test"], context, wanted // context), task.fitting))
        metrics["perplexity" if name == "full" else f"perplexity_{name}"] = math.exp(found["loss"])
    metrics["full_over_quarter"] = metrics["perplexity"] / metrics["perplexity_quarter"]
    metrics["double_over_full"] = metrics["perplexity_double"] / metrics["perplexity"]
    leave(folder, metrics)


class Decoder(nn.Module):
    """Characters (b, n) -> logits of the next ones (b, n, vocabulary); the output map is the embedding's."""

    def __init__(self, task: Lm, attention: Attention, pattern: str, vocabulary: int) -> None:
        super().__init__()
        longest = round(CONTEXTS["double"] * task.context)
        self.slots = Slots(attention, pattern, width=task.width, heads=task.heads, length=longest)
        self.embedding = nn.Embedding(vocabulary, task.width)
        nn.init.normal_(self.embedding.weight, std=task.width**-0.5)
        self.register_buffer("positions", positions(longest, task.width), False)
        sizes = {"width": task.width, "hidden": task.feed_forward, "dropout": task.dropout}
        self.blocks = nn.ModuleList(SelfBlock(self.slots.layer("causal_self"), **sizes) for _ in range(task.layers))
        self.norm = nn.LayerNorm(task.width)

    def forward(self, characters: Tensor) -> Tensor:
        x = self.embedding(characters) * math.sqrt(self.embedding.embedding_dim) + self.positions[: characters.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.embedding.weight.T


def score(model: nn.Module, batch: tuple[Tensor]) -> dict[str, Tensor]:
    """Nats a character of windows (b, n + 1)."""
    (window,) = batch
    window = window.long()
    return {"loss": F.cross_entropy(model(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())}


def cut(text: Tensor, context: int, wanted: int | None) -> tuple[Tensor]:
    """`wanted` windows (n, context + 1) of those that follow each other without a gap, drawn, or all."""
    count = (len(text) - 1) // context
    if count < 1:
        raise ValueError(f"a text of {len(text)} characters has no window of {context} + 1")
    starts = torch.tensor(sorted(drawn(range(count), wanted))) * context
    return (text[starts[:, None] + torch.arange(context + 1)],)


@functools.cache
def characters(name: str, source: str) -> dict[str, Tensor]:
    """Each split as numbers of its characters, uint8, read once a process; those that training never saw are `UNKNOWN`."""
    splits = {split: "\n".join(texts.texts) for split, texts in data.load(name, Path.cwd(), source).items()}
    known = sorted(set(splits["train"]))[:255]
    number = {character: place for place, character in enumerate(known, start=1)}
    return {
        split: torch.from_numpy(np.array([number.get(each, UNKNOWN) for each in text], dtype=np.uint8))
        for split, text in splits.items()
    }
