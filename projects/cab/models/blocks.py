"""Transformer blocks around given attention layers. All are pre-norm with residuals."""

import math

import torch
from torch import Tensor, nn

from projects.cab.config import Summary, Translation
from projects.cab.models.layer_under_test import AttentionLayers


class SelfBlock(nn.Module):
    """Self attention and a feed-forward part: an encoder's block, or that of a decoder without a source.

    Args:
        attention: The self-attention layer.
        width: The model's width, w.
        hidden: The width inside the feed-forward part.
        dropout: The share of activations that is dropped at the end of each branch and inside the feed-forward part.
    """

    def __init__(self, attention: nn.Module, *, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention, self.feed = attention, feed_forward(width, hidden, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x `(b, n, w)` and its mask `(b, n)` -> `(b, n, w)`."""
        x = x + self.dropout(self.attention(self.norms[0](x), x_mask=mask))
        out: Tensor = x + self.dropout(self.feed(self.norms[1](x)))
        return out


class CrossBlock(nn.Module):
    """A decoder's block: self attention, cross attention to the source, feed-forward part.

    Args:
        own: The self-attention layer.
        cross: The cross-attention layer.
        width: The model's width, w.
        hidden: The width inside the feed-forward part.
        dropout: As `SelfBlock`'s.
    """

    def __init__(self, own: nn.Module, cross: nn.Module, *, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.own, self.cross, self.feed = own, cross, feed_forward(width, hidden, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, context: Tensor, mask: Tensor | None = None, context_mask: Tensor | None = None
    ) -> Tensor:
        """Target x `(b, n, w)` and source `(b, m, w)` with their masks -> `(b, n, w)`."""
        x = x + self.dropout(self.own(self.norms[0](x), x_mask=mask))
        x = x + self.dropout(self.cross(self.norms[1](x), context, x_mask=mask, context_mask=context_mask))
        out: Tensor = x + self.dropout(self.feed(self.norms[2](x)))
        return out


class Convolution(nn.Module):
    """A convolution along the tokens, of as many as there were; what a mask leaves out is 0 to it.

    Args:
        inputs: Channels.
        outputs: Channels.
        kernel: How many tokens it sees, an odd number.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x `(b, n, inputs)` and its mask `(b, n)` -> `(b, n, outputs)`."""
        seen = x.masked_fill(~mask[..., None], 0.0)
        out: Tensor = self.convolution(seen.transpose(1, 2)).transpose(1, 2)
        return out


class ConvolutionalBlock(nn.Module):
    """Self attention, and in place of a feed-forward part two convolutions (FFT block, Ren et al. 2019), pre-norm.

    Args:
        attention: The self-attention layer.
        width: The model's width, w.
        hidden: Channels between the convolutions.
        kernel: Of both.
        dropout: As `SelfBlock`'s.
    """

    def __init__(self, attention: nn.Module, *, width: int, hidden: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.attention = attention
        self.convolutions = nn.ModuleList([Convolution(width, hidden, kernel), Convolution(hidden, width, kernel)])
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x `(b, n, w)` and its mask `(b, n)` -> `(b, n, w)`."""
        x = x + self.dropout(self.attention(self.norms[0](x), x_mask=mask))
        hidden = self.dropout(self.convolutions[0](self.norms[1](x), mask).relu())
        out: Tensor = x + self.dropout(self.convolutions[1](hidden, mask))
        return out


def encoder_decoder(layers: AttentionLayers, task: Summary | Translation) -> tuple[nn.ModuleList, nn.ModuleList]:
    """The blocks of an encoder and of a decoder with all three attentions, of which the pattern under test says which is the mechanism's."""
    width, hidden, dropout = task.width, task.feed_forward, task.dropout
    encoder = nn.ModuleList(
        SelfBlock(layers.layer("noncausal_self"), width=width, hidden=hidden, dropout=dropout)
        for _ in range(task.encoder_layers)
    )
    decoder = nn.ModuleList(
        CrossBlock(
            layers.layer("causal_self"), layers.layer("causal_cross"), width=width, hidden=hidden, dropout=dropout
        )
        for _ in range(task.decoder_layers)
    )
    return encoder, decoder


def feed_forward(width: int, hidden: int, dropout: float) -> nn.Module:
    """width -> hidden -> width with GELU."""
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width))


def positions(length: int, width: int) -> Tensor:
    """Sines and cosines `(length, width)` of Vaswani et al. 2017: defined for lengths that training never saw."""
    angles = torch.arange(length)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def embedded(embedding: nn.Module, words: Tensor, positions: Tensor) -> Tensor:
    """Words `(b, n)` under an `nn.Embedding`, scaled by √width, with their positions: `(b, n, width)`."""
    assert isinstance(embedding, nn.Embedding)
    vectors: Tensor = embedding(words)
    return vectors * math.sqrt(embedding.embedding_dim) + positions[: words.shape[1]]
