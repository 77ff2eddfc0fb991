"""A pre-trained BERT-type encoder as a classifier of its first token; its layers are run one by one, so that attention can be replaced."""

from typing import Any

from einops import rearrange
from torch import Tensor, nn

from projects.explaining.models.classifier import Classifier, ExplainedLayer, Replace, softmax_weights, uniform_weights


class Bert(Classifier):
    """Word pieces `(t, m)` -> logits `(t, classes)`.

    Args:
        pretrained: A Hugging Face `BertModel`; its pooler is not used.
        classes: How many there are.
        uniform: Whether the explained layer is run with uniform weights.
        frozen: Whether all layers but the last keep their pre-trained weights.
    """

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
        embedded: Tensor = self.embeddings.word_embeddings(tokens)
        return embedded

    def lower(self, embedded: Tensor, mask: Tensor, replace: Replace | None = None) -> Tensor:
        x: Tensor = self.embeddings(inputs_embeds=embedded)
        for index, layer in enumerate(self.layers[:-1]):
            q, k, v = self.heads_of(layer, x, x)
            attention = softmax_weights(q, k, mask)
            if replace is not None:
                attention = replace(index, attention, v, mask).to(v.dtype)
            x = after_attention(layer, rearrange(attention @ v, "b h n e -> b n (h e)"), x)
        return x

    def explained_layer(self, hidden: Tensor, mask: Tensor, replace: Replace | None = None) -> ExplainedLayer:
        first = hidden[:, :1]
        q, k, v = self.heads_of(self.layers[-1], first, hidden)
        attention = softmax_weights(q, k, mask)
        if self.uniform:
            attention = uniform_weights(mask, self.heads).to(v.dtype)[:, :, None]
        if replace is not None:
            attention = replace(len(self.layers) - 1, attention, v, mask).to(v.dtype)
        return ExplainedLayer(attention[:, :, 0], v, k, mask, first[:, 0])

    def classify(self, layer: ExplainedLayer, mixed: Tensor) -> Tensor:
        assert layer.residual is not None
        out = after_attention(self.layers[-1], mixed.flatten(-2).to(layer.residual.dtype), layer.residual)
        logits: Tensor = self.head(out)
        return logits

    def heads_of(self, layer: Any, x: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of x, keys and values of `source`: `(b, h, n, d)`, `(b, h, m, d)`, `(b, h, m, e)`."""
        own = layer.attention.self
        parts = (own.query(x), own.key(source), own.value(source))
        q, k, v = (rearrange(part, "b n (h d) -> b h n d", h=self.heads) for part in parts)
        return q, k, v


def after_attention(layer: Any, mixed: Tensor, residual: Tensor) -> Tensor:
    """What a Hugging Face layer does with its attention's output `(…, w)`: projection, residual, norm, feed-forward part."""
    out = layer.attention.output
    x = out.LayerNorm(out.dropout(out.dense(mixed)) + residual)
    after = layer.output
    y: Tensor = after.LayerNorm(after.dropout(after.dense(layer.intermediate(x))) + x)
    return y
