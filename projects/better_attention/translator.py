"""The encoder–decoder for translation, after the Keras example: post-norm blocks, learned positions, dropout before the output map.

The mechanism stands in all three places: the encoder (noncausal self), the decoder (causal self) and between them (causal cross: all of the source
is seen). Super's W^A is l × l there, the first l that of the source, lower triangular in the decoder, and again that of the source.
"""

import torch
from torch import Tensor, nn

from projects.better_attention.config import Config, Model
from projects.better_attention.controls import begin_mixing, library_name
from projects.better_attention.fitting import begin_as_keras
from projects.better_attention.subwords import BEGIN, PADDING
from regard.attention import Attention
from regard.common.patterns import Pattern
from regard.registry import build


def attention_layer(model: Model, pattern: Pattern, length: int) -> Attention:
    """The configured attention over keys of at most `length` tokens."""
    name = library_name(model.attention)
    options = {"length": length} if name == "super" else {}
    layer: Attention = build(name, width=model.width, heads=model.heads, pattern=pattern, **options)
    return layer


def feed_forward(model: Model) -> nn.Module:
    """w -> hidden -> w with ReLU between."""
    return nn.Sequential(nn.Linear(model.width, model.hidden[0]), nn.ReLU(), nn.Linear(model.hidden[0], model.width))


class EncoderBlock(nn.Module):
    """Self attention and a feed-forward part, each with a residual and a norm after it."""

    def __init__(self, model: Model, length: int) -> None:
        super().__init__()
        self.attention = attention_layer(model, "noncausal_self", length)
        self.feed = feed_forward(model)
        self.norms = nn.ModuleList(nn.LayerNorm(model.width, eps=model.norm_epsilon) for _ in range(2))
        self.dropout = nn.Dropout(model.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.norms[0](x + self.dropout(self.attention(x, x_mask=mask)))
        return self.norms[1](x + self.dropout(self.feed(x)))


class DecoderBlock(nn.Module):
    """Causal self attention, cross attention and a feed-forward part, each with a residual and a norm after it.

    Padding of targets needs no mask: it stands at the end, where no real token looks.
    """

    def __init__(self, model: Model, length: int) -> None:
        super().__init__()
        self.own = attention_layer(model, "causal_self", length)
        self.cross = attention_layer(model, "causal_cross", length)
        self.feed = feed_forward(model)
        self.norms = nn.ModuleList(nn.LayerNorm(model.width, eps=model.norm_epsilon) for _ in range(3))
        self.dropout = nn.Dropout(model.dropout)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        x = self.norms[0](x + self.dropout(self.own(x)))
        x = self.norms[1](x + self.dropout(self.cross(x, context, context_mask=mask)))
        return self.norms[2](x + self.dropout(self.feed(x)))


class Translator(nn.Module):
    """Sources (b, m) and targets so far (b, n), m and n up to the configured length -> logits of the next subwords (b, n, vocabulary)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        data, model = config.data, config.model
        assert data.vocabulary is not None
        assert data.length is not None
        assert config.translation is not None
        self.length = data.length
        self.embeddings = nn.ModuleList(nn.Embedding(data.vocabulary, model.width) for _ in range(2))
        self.positions = nn.ModuleList(nn.Embedding(data.length, model.width) for _ in range(2))
        self.encoder = nn.ModuleList(EncoderBlock(model, data.length) for _ in range(model.blocks))
        self.decoder = nn.ModuleList(DecoderBlock(model, data.length) for _ in range(config.translation.decoder_blocks))
        self.dropout = nn.Dropout(model.head_dropout)
        self.output = nn.Linear(model.width, data.vocabulary)
        begin_as_keras(self)
        begin_mixing(self, config.model.attention)

    def forward(self, sources: Tensor, targets: Tensor) -> Tensor:
        return self.logits(self.decode(self.encode(sources), sources != PADDING, targets))

    def encode(self, sources: Tensor) -> Tensor:
        """Sources (b, m) -> what the decoder sees of them (b, m, w)."""
        x, mask = self._embedded(0, sources), sources != PADDING
        for block in self.encoder:
            x = block(x, mask)
        return x

    def decode(self, context: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        """Targets so far (b, n) -> (b, n, w), from which the output map makes logits."""
        x = self._embedded(1, targets)
        for block in self.decoder:
            x = block(x, context, mask)
        return x

    def logits(self, seen: Tensor) -> Tensor:
        """What `decode` gives (…, w) -> logits of the next subwords (…, vocabulary)."""
        return self.output(self.dropout(seen))

    def next_logits(self, context: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        """Logits of the one subword after targets (b, n): (b, vocabulary); -inf for PADDING and BEGIN, which follow nothing."""
        logits = self.logits(self.decode(context, mask, targets)[:, -1])
        logits[:, [PADDING, BEGIN]] = -torch.inf
        return logits

    def attention_parameters(self) -> int:
        """Parameters of all attention layers."""
        return sum(p.numel() for layer in self.modules() if isinstance(layer, Attention) for p in layer.parameters())

    def _embedded(self, side: int, words: Tensor) -> Tensor:
        places = torch.arange(words.shape[1], device=words.device)
        return self.embeddings[side](words) + self.positions[side](places)
