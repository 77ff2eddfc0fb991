"""The encoder–decoder for translation, after the Keras example: post-norm blocks, learned positions, dropout before the output map.

The mechanism stands in all three places: the encoder (noncausal self), the decoder (causal self) and between them
(causal cross: the whole source is visible). Super's W^A is l × l there: l is the source's length in the encoder and in
cross attention, and the target's in the decoder, where W^A is lower triangular.
"""

import torch
from torch import Tensor, nn

from projects.better_attention.config import Data, Model, Translation
from projects.better_attention.models.layers import (
    attention_layer,
    initialise_like_keras,
    initialise_mixing,
    library_name,
)
from regard.attention import Attention
from regard.common.patterns import Pattern
from regard_lab.data.subwords import BEGIN, PADDING


def attention(model: Model, pattern: Pattern, length: int) -> Attention:
    """The configured attention over keys of at most `length` tokens."""
    name = library_name(model.attention)
    return attention_layer(name, width=model.width, heads=model.heads, length=length, pattern=pattern)


def feed_forward(model: Model) -> nn.Module:
    """w -> hidden -> w with ReLU between."""
    return nn.Sequential(nn.Linear(model.width, model.hidden[0]), nn.ReLU(), nn.Linear(model.hidden[0], model.width))


class EncoderBlock(nn.Module):
    """Self attention and a feed-forward part, each with a residual and a norm after it."""

    def __init__(self, model: Model, length: int) -> None:
        super().__init__()
        self.attention = attention(model, "noncausal_self", length)
        self.feed_forward = feed_forward(model)
        self.norms = nn.ModuleList(nn.LayerNorm(model.width, eps=model.norm_epsilon) for _ in range(2))
        self.dropout = nn.Dropout(model.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.norms[0](x + self.dropout(self.attention(x, x_mask=mask)))
        out: Tensor = self.norms[1](x + self.dropout(self.feed_forward(x)))
        return out


class DecoderBlock(nn.Module):
    """Causal self attention, cross attention and a feed-forward part, each with a residual and a norm after it.

    Padding of targets needs no mask: it stands at the end, and no real token attends to it.
    """

    def __init__(self, model: Model, length: int) -> None:
        super().__init__()
        self.self_attention = attention(model, "causal_self", length)
        self.cross_attention = attention(model, "causal_cross", length)
        self.feed_forward = feed_forward(model)
        self.norms = nn.ModuleList(nn.LayerNorm(model.width, eps=model.norm_epsilon) for _ in range(3))
        self.dropout = nn.Dropout(model.dropout)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        x = self.norms[0](x + self.dropout(self.self_attention(x)))
        x = self.norms[1](x + self.dropout(self.cross_attention(x, context, context_mask=mask)))
        out: Tensor = self.norms[2](x + self.dropout(self.feed_forward(x)))
        return out


class Translator(nn.Module):
    """Sources (b, m) and targets so far (b, n), m and n up to the configured length -> logits of the next subwords (b, n, vocabulary)."""

    def __init__(self, data: Data, model: Model, translation: Translation) -> None:
        super().__init__()
        assert data.vocabulary is not None
        assert data.length is not None
        self.length = data.length
        self.embeddings = nn.ModuleList(nn.Embedding(data.vocabulary, model.width) for _ in range(2))
        self.positions = nn.ModuleList(nn.Embedding(data.length, model.width) for _ in range(2))
        self.encoder = nn.ModuleList(EncoderBlock(model, data.length) for _ in range(model.blocks))
        self.decoder = nn.ModuleList(DecoderBlock(model, data.length) for _ in range(translation.decoder_blocks))
        self.dropout = nn.Dropout(model.head_dropout)
        self.output = nn.Linear(model.width, data.vocabulary)
        initialise_like_keras(self)
        initialise_mixing(self, model.attention)

    def forward(self, sources: Tensor, targets: Tensor) -> Tensor:
        return self.logits(self.decode(self.encode(sources), sources != PADDING, targets))

    def encode(self, sources: Tensor) -> Tensor:
        """Sources (b, m) -> what the decoder attends to (b, m, w)."""
        x, mask = self._embedded(0, sources), sources != PADDING
        for block in self.encoder:
            x = block(x, mask)
        return x

    def decode(self, context: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        """The decoder's features of targets so far.

        Args:
            context: `(b, m, w)`, what `encode` returns.
            mask: `(b, m)`, True where the source is no padding.
            targets: `(b, n)`.

        Returns:
            `(b, n, w)`, which `logits` maps to the vocabulary.
        """
        x = self._embedded(1, targets)
        for block in self.decoder:
            x = block(x, context, mask)
        return x

    def logits(self, features: Tensor) -> Tensor:
        """The decoder's features (…, w) -> logits of the next subwords (…, vocabulary)."""
        logits: Tensor = self.output(self.dropout(features))
        return logits

    def next_logits(self, context: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        """Logits (b, vocabulary) of the one subword after targets (b, n); -inf for PADDING and BEGIN, which never follow."""
        logits = self.logits(self.decode(context, mask, targets)[:, -1])
        logits[:, [PADDING, BEGIN]] = -torch.inf
        return logits

    def _embedded(self, side: int, subwords: Tensor) -> Tensor:
        positions = torch.arange(subwords.shape[1], device=subwords.device)
        embedded: Tensor = self.embeddings[side](subwords) + self.positions[side](positions)
        return embedded
