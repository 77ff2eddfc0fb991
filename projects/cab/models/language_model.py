"""A decoder like GPT-2. Positions are sines or relative, so that it can be asked for contexts longer than that of its training."""

import torch
from torch import Tensor, nn

from projects.cab.config import Attention, Lm
from projects.cab.models.blocks import SelfBlock, embedded, positions
from projects.cab.models.layer_under_test import AttentionLayers
from regard.common.patterns import Pattern


class LanguageModel(nn.Module):
    """Subwords -> logits of the next ones; the output map is the embedding's.

    Args:
        task: Sizes of the model.
        attention: The mechanism under test.
        pattern: The pattern under test; every layer is causal self attention.
        longest: The longest context that the model will be asked for.
    """

    positions: Tensor

    def __init__(self, task: Lm, attention: Attention, pattern: Pattern, longest: int) -> None:
        super().__init__()
        self.layers = AttentionLayers(
            attention,
            pattern,
            width=task.width,
            heads=task.heads,
            length=longest,
            options=task.options,
            relative=task.positions != "absolute",
        )
        self.embedding = nn.Embedding(task.vocabulary, task.width)
        nn.init.normal_(self.embedding.weight, std=task.width**-0.5)
        sines = positions(longest, task.width)
        self.register_buffer("positions", sines if task.positions != "relative" else torch.zeros_like(sines), False)
        self.blocks = nn.ModuleList(
            SelfBlock(
                self.layers.layer("causal_self"), width=task.width, hidden=task.feed_forward, dropout=task.dropout
            )
            for _ in range(task.layers)
        )
        self.norm = nn.LayerNorm(task.width)

    def forward(self, subwords: Tensor) -> Tensor:
        """Subwords `(b, n)` -> logits `(b, n, vocabulary)`."""
        x = embedded(self.embedding, subwords, self.positions)
        for block in self.blocks:
            x = block(x)
        return torch.matmul(self.norm(x), self.embedding.weight.T)
