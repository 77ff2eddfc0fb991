"""A pre-trained BERT-type encoder as a classifier of its first token; its layers are run one by one, so that attention can be replaced."""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from projects.explaining.looking import Attend, Classifier, Seen, even, weights


class Bert(Classifier):
    """Word pieces (t, m) -> logits (t, classes). `pretrained` is a Hugging Face `BertModel`; its pooler is not used."""

    def __init__(self, pretrained: Any, classes: int, *, uniform: bool, frozen: bool) -> None:
        super().__init__()
        self.uniform = uniform
        self.embeddings, self.layers = pretrained.embeddings, pretrained.encoder.layer
        self.heads: int = pretrained.config.num_attention_heads
        if frozen:
            for part in (self.embeddings, self.layers[:-1]):
                part.requires_grad_(False)
        self.head = nn.Linear(pretrained.config.hidden_size, classes)

    def embed(self, tokens: Tensor) -> Tensor:
        return self.embeddings.word_embeddings(tokens)  # type: ignore[no-any-return]

    def lower(self, embedded: Tensor, mask: Tensor, attend: Attend | None = None) -> Tensor:
        x = self.embeddings(inputs_embeds=embedded)
        for place, layer in enumerate(self.layers[:-1]):
            q, k, v = self.heads_of(layer, x, x)
            attention = weights(q, k, mask)
            if attend is not None:
                attention = attend(place, attention, v, mask).to(v.dtype)
            x = rest(layer, rearrange(attention @ v, "b h n e -> b n (h e)"), x)
        return x  # type: ignore[no-any-return]

    def look(self, hidden: Tensor, mask: Tensor, attend: Attend | None = None) -> Seen:
        first = hidden[:, :1]
        q, k, v = self.heads_of(self.layers[-1], first, hidden)
        attention = weights(q, k, mask)
        if self.uniform:
            attention = even(mask, self.heads).to(v.dtype)[:, :, None]
        if attend is not None:
            attention = attend(len(self.layers) - 1, attention, v, mask).to(v.dtype)
        return Seen(attention[:, :, 0], v, k, mask, first[:, 0])

    def decide(self, seen: Seen, mixed: Tensor) -> Tensor:
        assert seen.residual is not None
        out = rest(self.layers[-1], mixed.flatten(-2).to(seen.residual.dtype), seen.residual)
        return self.head(out)  # type: ignore[no-any-return]

    def heads_of(self, layer: Any, x: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of x, keys and values of `source`: (b, h, n, d), (b, h, m, d), (b, h, m, e)."""
        own = layer.attention.self
        parts = (own.query(x), own.key(source), own.value(source))
        q, k, v = (rearrange(part, "b n (h d) -> b h n d", h=self.heads) for part in parts)
        return q, k, v


def rest(layer: Any, mixed: Tensor, residual: Tensor) -> Tensor:
    """What a layer does with its attention's output (…, w)."""
    out = layer.attention.output
    x = out.LayerNorm(out.dropout(out.dense(mixed)) + residual)
    after = layer.output
    y: Tensor = after.LayerNorm(after.dropout(after.dense(layer.intermediate(x))) + x)
    return y


@torch.no_grad()
def hidden_of(model: Classifier, tokens: Tensor, batch: int = 16) -> Tensor:
    """What the explained layer is given (t, m, w), in evaluation mode, as many texts at a time as memory bears."""
    training = model.training
    model.eval()
    parts = [model.lower(model.embed(some), some != 0) for some in tokens.split(batch)]
    model.train(training)
    return torch.cat(parts)
