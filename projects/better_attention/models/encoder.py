"""One encoder for every data set and every mechanism: embedding, blocks, pooling, head. The mechanisms differ in one name."""

import itertools

import torch
from torch import Tensor, nn

from projects.better_attention.config import Data, Model, tokens_of
from projects.better_attention.data.labelled import PADDING
from projects.better_attention.models.layers import attention_layer, initialise_like_keras, initialise_mixing
from projects.better_attention.models.pixels import Pixels, patches

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


class Dense(nn.Sequential):
    """Dense layers, each followed by its activation and dropout.

    Args:
        widths: Of the input and of each layer's output, in order.
        activation: The name of the activation.
        dropout: The share of activations that dropout zeroes.
        last: Whether the last layer has an activation and dropout too. Default: True.
    """

    def __init__(self, widths: list[int], activation: str, dropout: float, last: bool = True) -> None:
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(itertools.pairwise(widths), start=1):
            layers.append(nn.Linear(before, after))
            if last or number < len(widths) - 1:
                layers += [ACTIVATIONS[activation](), nn.Dropout(dropout)]
        super().__init__(*layers)


class Block(nn.Module):
    """Attention and a feed-forward part, each with dropout and a residual; the norm stands before (`pre`) or after (`post`) each."""

    def __init__(self, model: Model, length: int) -> None:
        super().__init__()
        self.pre = model.norm == "pre"
        self.attention = attention_layer(model.attention, width=model.width, heads=model.heads, length=length)
        self.dropout = nn.Dropout(model.dropout)
        widths = [model.width, *model.hidden]
        if self.pre:  # the last dense layer has its activation too in the vision example, and none in the text example
            self.feed_forward: nn.Module = Dense(widths, model.activation, model.dropout)
        else:
            dense = Dense([*widths, model.width], model.activation, 0.0, last=False)
            self.feed_forward = nn.Sequential(dense, nn.Dropout(model.dropout))
        self.norms = nn.ModuleList(nn.LayerNorm(model.width, eps=model.norm_epsilon) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.pre:
            x = x + self.dropout(self.attention(self.norms[0](x), x_mask=mask))
            x = x + self.feed_forward(self.norms[1](x))
        else:
            x = self.norms[0](x + self.dropout(self.attention(x, x_mask=mask)))
            x = self.norms[1](x + self.feed_forward(x))
        return x


class Encoder(nn.Module):
    """Tokens (n, length) int64 or images (n, height, width[, channels]) uint8 -> one logit per class (n, classes), or
    (n, 1) for two classes and for ratings. Texts may be shorter than the length that the model was built for, unless it
    pools by flattening."""

    def __init__(self, data: Data, model: Model) -> None:
        super().__init__()
        length, width = tokens_of(data), model.width
        self.patch = data.patch
        if data.vocabulary is not None:
            self.embedding: nn.Module = nn.Embedding(data.vocabulary, width)
        else:
            assert data.patch is not None
            assert data.image_size is not None
            self.pixels = Pixels(data.channels, data.image_size, data.augment)
            self.embedding = nn.Linear(data.patch**2 * data.channels, width)
        self.position = nn.Parameter(torch.empty(length, width))
        self.blocks = nn.ModuleList(Block(model, length) for _ in range(model.blocks))
        self.flatten = model.pool == "flatten"
        self.norm = nn.LayerNorm(width, eps=model.norm_epsilon) if model.norm == "pre" else nn.Identity()
        pooled = length * width if self.flatten else width
        self.head = nn.Sequential(
            nn.Dropout(model.head_dropout), Dense([pooled, *model.head], model.head_activation, model.head_dropout)
        )
        single = data.classes == 2 or data.target == "rating"
        self.output = nn.Linear(model.head[-1] if model.head else pooled, 1 if single else data.classes)
        initialise_like_keras(self)
        nn.init.uniform_(self.position, -0.05, 0.05)
        initialise_mixing(self, model.attention)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.patch is None:
            mask: Tensor | None = inputs != PADDING
            x = self.embedding(inputs)
        else:
            mask = None
            x = self.embedding(patches(self.pixels(inputs), self.patch))
        x = x + self.position[: x.shape[1]]
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        if self.flatten:
            pooled = x.flatten(1)
        elif mask is None:
            pooled = x.mean(1)
        else:  # the mean over real words; a text without any gives zeros
            real = mask[..., None].to(x.dtype)
            pooled = (x * real).sum(1) / real.sum(1).clamp(min=1)
        logits: Tensor = self.output(self.head(pooled))
        return logits
