"""The small transformer: key and value widths are free, and one attention query is the only path from the tokens to the classes.

The query is the same for all texts (`learned`), or made from the first token's state (`first`), as a question that the text begins with needs it.
"""

import torch
from einops import rearrange
from torch import Tensor, nn

from projects.explaining.config import Data, Model
from projects.explaining.models.classifier import Classifier, ExplainedLayer, Replace, softmax_weights, uniform_weights

INITIAL = 0.2  # standard deviation of embeddings and positions [our choice]


class SelfAttention(nn.Module):
    """Softmax attention with keys `key_width` wide and values `value_width` wide in each head."""

    def __init__(self, width: int, heads: int, key_width: int, value_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, heads * key_width), nn.Linear(width, heads * key_width)
        self.value, self.output = nn.Linear(width, heads * value_width), nn.Linear(heads * value_width, width)

    def forward(self, x: Tensor, mask: Tensor, index: int, replace: Replace | None) -> Tensor:
        """x `(b, n, w)` -> `(b, n, w)`; `index` is the layer's own."""
        q, k, v = (rearrange(m(x), "b n (h d) -> b h n d", h=self.heads) for m in (self.query, self.key, self.value))
        attention = softmax_weights(q, k, mask)
        if replace is not None:
            attention = replace(index, attention, v, mask).to(v.dtype)
        out: Tensor = self.output(rearrange(attention @ v, "b h n d -> b n (h d)"))
        return out


class Block(nn.Module):
    """Self attention and a feed-forward part, each with a norm before and a residual around it."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.attention = SelfAttention(model.width, model.heads, model.key_width, model.value_width)
        self.norms = nn.ModuleList(nn.LayerNorm(model.width) for _ in range(2))
        self.feed_forward = nn.Sequential(
            nn.Linear(model.width, 2 * model.width), nn.GELU(), nn.Linear(2 * model.width, model.width)
        )
        self.dropout = nn.Dropout(model.dropout)

    def forward(self, x: Tensor, mask: Tensor, index: int, replace: Replace | None) -> Tensor:
        """x `(b, n, w)` -> `(b, n, w)`; `index` is the layer's own."""
        x = x + self.dropout(self.attention(self.norms[0](x), mask, index, replace))
        out: Tensor = x + self.dropout(self.feed_forward(self.norms[1](x)))
        return out


class Encoder(Classifier):
    """Words (t, m) -> logits (t, classes): embedding, blocks, one attention query, one linear map."""

    def __init__(self, data: Data, model: Model) -> None:
        super().__init__()
        self.uniform = model.pooling == "uniform"
        self.embedding = nn.Embedding(model.vocabulary, model.width, padding_idx=0)
        self.position = nn.Parameter(INITIAL * torch.randn(data.length, model.width))
        self.blocks = nn.ModuleList(Block(model) for _ in range(model.blocks))
        self.norm = nn.LayerNorm(model.width)
        self.asks = nn.Linear(model.width, model.key_width) if model.query == "first" else None
        self.query = nn.Parameter(torch.randn(model.key_width)) if self.asks is None else None
        self.key, self.value = nn.Linear(model.width, model.key_width), nn.Linear(model.width, model.value_width)
        self.output = nn.Linear(model.value_width, data.classes)
        self.dropout = nn.Dropout(model.dropout)
        with torch.no_grad():
            # Positions count as much as words, and both can be learned in a few epochs.
            self.embedding.weight.mul_(INITIAL)

    def embed(self, tokens: Tensor) -> Tensor:
        embedded: Tensor = self.embedding(tokens)
        return embedded

    def lower(self, embedded: Tensor, mask: Tensor, replace: Replace | None = None) -> Tensor:
        x = self.dropout(embedded + self.position[: embedded.shape[1]])
        for index, block in enumerate(self.blocks):
            x = block(x, mask, index, replace)
        out: Tensor = self.norm(x)
        return out

    def explained_layer(self, hidden: Tensor, mask: Tensor, replace: Replace | None = None) -> ExplainedLayer:
        keys, values = self.key(hidden)[:, None], self.value(hidden)[:, None]  # one head
        attention = softmax_weights(self.queries(hidden), keys, mask)
        if self.uniform:
            attention = uniform_weights(mask, 1).to(values.dtype)[:, :, None]
        if replace is not None:
            attention = replace(len(self.blocks), attention, values, mask).to(values.dtype)
        return ExplainedLayer(attention[:, :, 0], values, keys, mask, None)

    def queries(self, hidden: Tensor) -> Tensor:
        """The explained query of each text: `(t, m, w)` -> `(t, 1, 1, d)`."""
        if self.asks is not None:
            query: Tensor = self.asks(hidden[:, :1])[:, None]
            return query
        assert self.query is not None
        return self.query.expand(len(hidden), 1, 1, -1)

    def classify(self, layer: ExplainedLayer, mixed: Tensor) -> Tensor:
        logits: Tensor = self.output(mixed.flatten(-2).to(self.output.weight.dtype))
        return logits
