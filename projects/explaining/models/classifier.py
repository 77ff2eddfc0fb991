"""What every classifier of this project offers: its last step from attention to classes, laid open.

    mask = tokens != 0
    layer = model.explained_layer(model.lower(model.embed(tokens), mask), mask)   # weights, values and keys of one query per text
    logits = model.classify(layer, mix_values(layer.attention, layer))            # the same as model(tokens); or with any other weights

Shapes: t texts, h heads, m tokens, d key width, e value width, w model width. The explained query is the pooling query
of the small encoder, or the first token, [CLS], in the last layer of the pre-trained one: the prediction depends on
that layer through this one row of attention per head.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

# (index of the layer, attention (b, h, n, m), values (b, h, m, e), mask (b, m)) -> the weights to use instead
Replace = Callable[[int, Tensor, Tensor, Tensor], Tensor]


class ExplainedLayer(NamedTuple):
    """The row of attention through which each prediction passes, with what it acts on.

    Attributes:
        attention: `(t, h, m)`.
        values: `(t, h, m, e)`, with their bias.
        keys: `(t, h, m, d)`.
        mask: `(t, m)`, True for a token, False for padding.
        residual: `(t, w)`, what the layer's output is added to, or `None`.
    """

    attention: Tensor
    values: Tensor
    keys: Tensor
    mask: Tensor
    residual: Tensor | None

    def double(self) -> "ExplainedLayer":
        """In float64, each row of attention with the sum 1 to the last bit."""
        attention = self.attention.double()
        return ExplainedLayer(
            attention / attention.sum(-1, keepdim=True),
            self.values.double(),
            self.keys.double(),
            self.mask,
            self.residual,
        )

    def part(self, chosen: slice | Tensor) -> "ExplainedLayer":
        """Some of the texts."""
        residual = None if self.residual is None else self.residual[chosen]
        return ExplainedLayer(
            self.attention[chosen], self.values[chosen], self.keys[chosen], self.mask[chosen], residual
        )


def mix_values(attention: Tensor, layer: ExplainedLayer) -> Tensor:
    """The values under weights `(…, t, h, m)` -> `(…, t, h, e)`."""
    return torch.einsum("...thm,thme->...the", attention.to(layer.values.dtype), layer.values)


class Classifier(nn.Module):
    """`embed`, `lower`, `explained_layer` and `classify` make the model; `forward` runs them."""

    uniform: bool  # the explained layer is run with uniform weights

    def embed(self, tokens: Tensor) -> Tensor:
        """Tokens `(t, m)` -> their embeddings `(t, m, w)`, which no other token has influenced yet."""
        raise NotImplementedError

    def lower(self, embedded: Tensor, mask: Tensor, replace: Replace | None = None) -> Tensor:
        """Everything before the explained layer: `(t, m, w)` -> `(t, m, w)`.

        Args:
            embedded: What `embed` gives.
            mask: `(t, m)`, True for a token.
            replace: Gives each layer other weights than its own.
        """
        raise NotImplementedError

    def explained_layer(self, hidden: Tensor, mask: Tensor, replace: Replace | None = None) -> ExplainedLayer:
        """The explained layer on what `lower` gives, its weights replaced if asked for."""
        raise NotImplementedError

    def classify(self, layer: ExplainedLayer, mixed: Tensor) -> Tensor:
        """Mixed values `(…, t, h, e)` -> logits `(…, t, classes)`."""
        raise NotImplementedError

    def upper(self, hidden: Tensor, mask: Tensor, replace: Replace | None = None) -> Tensor:
        """The explained layer and what follows: `(t, m, w)` -> logits `(t, classes)`."""
        layer = self.explained_layer(hidden, mask, replace)
        return self.classify(layer, mix_values(layer.attention, layer))

    def forward(self, tokens: Tensor, replace: Replace | None = None) -> Tensor:
        """Tokens `(t, m)` -> logits `(t, classes)`."""
        mask = tokens != 0
        return self.upper(self.lower(self.embed(tokens), mask, replace), mask, replace)


def softmax_weights(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    """Softmax attention's weights: q `(b, h, n, d)`, k `(b, h, m, d)`, mask `(b, m)` -> `(b, h, n, m)`."""
    scores: Tensor = q @ k.mT * q.shape[-1] ** -0.5
    return scores.masked_fill(~mask[:, None, None], -torch.inf).softmax(-1)


def uniform_weights(mask: Tensor, heads: int) -> Tensor:
    """The same weight for every real token, `(t, heads, m)`."""
    share = mask.double() / mask.sum(-1, keepdim=True)
    return share[:, None].expand(-1, heads, -1)


@torch.no_grad()
def hidden_of(model: Classifier, tokens: Tensor, batch: int = 16) -> Tensor:
    """What the explained layer is given, `(t, m, w)`, in evaluation mode.

    Args:
        model: Is left in the mode in which it was.
        tokens: `(t, m)`, on any device.
        batch: How many texts are run at once.

    Returns:
        It, where the tokens are.
    """
    training, device = model.training, next(model.parameters()).device
    model.eval()
    parts = [
        model.lower(model.embed(some), some != 0).to(tokens.device)
        for some in (part.to(device) for part in torch.split(tokens, batch))
    ]
    model.train(training)
    return torch.cat(parts)
