"""An encoder like RoBERTa's (Liu et al. 2019), pre-norm, with sines for positions. Every layer is under test."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.cab.config import Attention, Mlm
from projects.cab.models.blocks import SelfBlock, embedded, positions
from projects.cab.models.layer_under_test import AttentionLayers
from regard.common.patterns import Pattern


class MaskedLanguageModel(nn.Module):
    """Subwords, some of them replaced -> logits of those that stood there; before the output map, the embedding's, a dense layer as in RoBERTa.

    Args:
        task: Sizes of the model.
        attention: The mechanism under test.
        pattern: The pattern under test; every layer is noncausal self attention.
    """

    positions: Tensor

    def __init__(self, task: Mlm, attention: Attention, pattern: Pattern) -> None:
        super().__init__()
        width = task.width
        self.layers = AttentionLayers(
            attention, pattern, width=width, heads=task.heads, length=task.length, options=task.options
        )
        self.embedding = nn.Embedding(task.vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.register_buffer("positions", positions(task.length, width), False)
        self.blocks = nn.ModuleList(
            SelfBlock(self.layers.layer("noncausal_self"), width=width, hidden=task.feed_forward, dropout=task.dropout)
            for _ in range(task.layers)
        )
        self.dense = nn.Linear(width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.bias = nn.Parameter(torch.zeros(task.vocabulary))

    def forward(self, subwords: Tensor, chosen: Tensor) -> Tensor:
        """Subwords `(b, n)` and the places that are asked for `(b, k)` -> logits `(b, k, vocabulary)`."""
        x = embedded(self.embedding, subwords, self.positions)
        for block in self.blocks:
            x = block(x)
        x = self.norms[0](x).gather(1, chosen[..., None].expand(-1, -1, x.shape[-1]))
        x = self.norms[1](F.gelu(self.dense(x)))
        return torch.matmul(x, self.embedding.weight.T) + self.bias
