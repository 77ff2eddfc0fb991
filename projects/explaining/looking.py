"""What every classifier of this project offers: its last step from attention to classes, laid open.

    seen = model.look(model.lower(tokens), mask)                     # the explained layer: weights, values, keys of one query a text
    logits = model.decide(seen, model.mixed(seen.attention, seen))   # the same as model(tokens); and with any other weights

Shapes: t texts, h heads, m tokens, d key width, e value width, w model width. The explained query is the pooling query of the small encoder, or the
first token, [CLS], in the last layer of the pre-trained one: the prediction depends on that layer through this one row of attention a head.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

# (place of the layer, attention (b, h, n, m), values (b, h, m, e), mask (b, m)) -> the weights to use instead
Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


class Seen(NamedTuple):
    """The explained layer: attention (t, h, m), values (t, h, m, e) with their bias, keys (t, h, m, d), mask (t, m), residual (t, w) or None."""

    attention: Tensor
    values: Tensor
    keys: Tensor
    mask: Tensor
    residual: Tensor | None

    def double(self) -> "Seen":
        """In float64, each row's sum 1 to the last bit."""
        attention = self.attention.double()
        return Seen(
            attention / attention.sum(-1, keepdim=True),
            self.values.double(),
            self.keys.double(),
            self.mask,
            self.residual,
        )

    def part(self, chosen: slice | Tensor) -> "Seen":
        """Some of the texts."""
        return Seen(*(None if x is None else x[chosen] for x in self))  # type: ignore[arg-type]


def mixed(attention: Tensor, seen: Seen) -> Tensor:
    """The values under weights (…, t, h, m) -> (…, t, h, e)."""
    return torch.einsum("...thm,thme->...the", attention.to(seen.values.dtype), seen.values)


class Classifier(nn.Module):
    """`embed`, `lower`, `look` and `decide` make the model; `forward` runs them."""

    uniform: bool  # the explained layer is run with even weights

    def embed(self, tokens: Tensor) -> Tensor:
        """Tokens (t, m) -> their embeddings (t, m, w), to which nothing of the others has come yet."""
        raise NotImplementedError

    def lower(self, embedded: Tensor, mask: Tensor, attend: Attend | None = None) -> Tensor:
        """Everything before the explained layer: (t, m, w) -> (t, m, w)."""
        raise NotImplementedError

    def look(self, hidden: Tensor, mask: Tensor, attend: Attend | None = None) -> Seen:
        """The explained layer's weights, values and keys."""
        raise NotImplementedError

    def decide(self, seen: Seen, mixed: Tensor) -> Tensor:
        """Mixed values (…, t, h, e) -> logits (…, t, classes)."""
        raise NotImplementedError

    def upper(self, hidden: Tensor, mask: Tensor, attend: Attend | None = None) -> Tensor:
        """The explained layer and what follows: (t, m, w) -> logits (t, classes)."""
        seen = self.look(hidden, mask, attend)
        return self.decide(seen, mixed(seen.attention, seen))

    def forward(self, tokens: Tensor, attend: Attend | None = None) -> Tensor:
        mask = tokens != 0
        return self.upper(self.lower(self.embed(tokens), mask, attend), mask, attend)


def weights(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    """Softmax attention's weights: q (b, h, n, d), k (b, h, m, d), mask (b, m) -> (b, h, n, m)."""
    scores = q @ k.mT * q.shape[-1] ** -0.5
    return scores.masked_fill(~mask[:, None, None], -torch.inf).softmax(-1)


def even(mask: Tensor, heads: int) -> Tensor:
    """The same weight for every real token, (t, heads, m)."""
    share = mask.double() / mask.sum(-1, keepdim=True)
    return share[:, None].expand(-1, heads, -1)
