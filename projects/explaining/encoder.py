"""The small transformer: key and value widths are free, and one attention query is the only way from the tokens to the classes."""

import torch
from einops import rearrange
from torch import Tensor, nn

from projects.explaining.config import Data, Model
from projects.explaining.looking import Attend, Classifier, Seen, even, weights

INITIAL = 0.2  # standard deviation of embeddings and positions [our choice]


class SelfAttention(nn.Module):
    """Softmax attention whose heads have keys `key_width` wide and values `value_width` wide."""

    def __init__(self, width: int, heads: int, key_width: int, value_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, heads * key_width), nn.Linear(width, heads * key_width)
        self.value, self.output = nn.Linear(width, heads * value_width), nn.Linear(heads * value_width, width)

    def forward(self, x: Tensor, mask: Tensor, place: int, attend: Attend | None) -> Tensor:
        q, k, v = (rearrange(m(x), "b n (h d) -> b h n d", h=self.heads) for m in (self.query, self.key, self.value))
        attention = weights(q, k, mask)
        if attend is not None:
            attention = attend(place, attention, v, mask).to(v.dtype)
        return self.output(rearrange(attention @ v, "b h n d -> b n (h d)"))


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

    def forward(self, x: Tensor, mask: Tensor, place: int, attend: Attend | None) -> Tensor:
        x = x + self.dropout(self.attention(self.norms[0](x), mask, place, attend))
        return x + self.dropout(self.feed_forward(self.norms[1](x)))


class Encoder(Classifier):
    """Words (t, m) -> logits (t, classes): embedding, blocks, one attention query, one linear map."""

    def __init__(self, data: Data, model: Model) -> None:
        super().__init__()
        self.uniform = model.pooling == "uniform"
        self.embedding = nn.Embedding(model.vocabulary, model.width, padding_idx=0)
        self.position = nn.Parameter(INITIAL * torch.randn(data.length, model.width))
        self.blocks = nn.ModuleList(Block(model) for _ in range(model.blocks))
        self.norm = nn.LayerNorm(model.width)
        self.query = nn.Parameter(torch.randn(model.key_width))
        self.key, self.value = nn.Linear(model.width, model.key_width), nn.Linear(model.width, model.value_width)
        self.output = nn.Linear(model.value_width, data.classes)
        self.dropout = nn.Dropout(model.dropout)
        with torch.no_grad():
            self.embedding.weight.mul_(
                INITIAL
            )  # places count as much as words, and both can be learned in a few epochs

    def embed(self, tokens: Tensor) -> Tensor:
        return self.embedding(tokens)  # type: ignore[no-any-return]

    def lower(self, embedded: Tensor, mask: Tensor, attend: Attend | None = None) -> Tensor:
        x = self.dropout(embedded + self.position[: embedded.shape[1]])
        for place, block in enumerate(self.blocks):
            x = block(x, mask, place, attend)
        return self.norm(x)  # type: ignore[no-any-return]

    def look(self, hidden: Tensor, mask: Tensor, attend: Attend | None = None) -> Seen:
        keys, values = self.key(hidden)[:, None], self.value(hidden)[:, None]  # one head
        attention = weights(self.query.expand(len(hidden), 1, 1, -1), keys, mask)
        if self.uniform:
            attention = even(mask, 1).to(values.dtype)[:, :, None]
        if attend is not None:
            attention = attend(len(self.blocks), attention, values, mask).to(values.dtype)
        return Seen(attention[:, :, 0], values, keys, mask, None)

    def decide(self, seen: Seen, mixed: Tensor) -> Tensor:
        return self.output(mixed.flatten(-2).to(self.output.weight.dtype))  # type: ignore[no-any-return]
