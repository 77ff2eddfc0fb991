"""One encoder for every data set and every mechanism: embedding, blocks, pooling, head. The four attentions differ in one name."""

import inspect
import itertools
from typing import Any

import torch
from torch import Tensor, nn

from projects.better_attention.config import Config, Data, Model
from projects.better_attention.controls import CONTROLS
from projects.better_attention.data import PADDING
from projects.better_attention.pixels import Pixels, patches
from regard.attention import Attention
from regard.registry import mechanism_class

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU}
# Any training split of ours is smaller; a number of tokens beyond it is a slip in a config.
MOST_TOKENS = 65_536


def tokens_of(data: Data) -> int:
    """How many tokens a picture or a text has."""
    if data.length is not None:
        return data.length
    if data.image_size is None or data.patch is None:
        raise ValueError(f"data set {data.name} needs a length, or an image_size and a patch")
    if data.patch < 1 or data.image_size % data.patch:
        raise ValueError(
            f"the patch must divide the picture, got patch = {data.patch} and image_size = {data.image_size}"
        )
    return (data.image_size // data.patch) ** 2


def attention_class(name: str) -> Any:
    """The class of a mechanism of the library, or of a control of this project."""
    return CONTROLS.get(name) or mechanism_class(name)


def attention_layer(model: Model, length: int) -> Attention:
    """The configured attention over `length` tokens; those with parameters a token are told how many there are."""
    cls = attention_class(model.attention)
    options = {"length": length} if "length" in inspect.signature(cls).parameters else {}
    layer: Attention = cls(width=model.width, heads=model.heads, **options)
    return layer


class Dense(nn.Sequential):
    """Dense layers of the given widths, each followed by its activation and dropout."""

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
        self.attention = attention_layer(model, length)
        self.dropout = nn.Dropout(model.dropout)
        widths = [model.width, *model.hidden]
        if self.pre:  # the last dense layer has its activation too in the vision example, and none in the text example
            self.feed_forward: nn.Module = Dense(widths, model.activation, model.dropout)
        else:
            feed = Dense([*widths, model.width], model.activation, 0.0, last=False)
            self.feed_forward = nn.Sequential(feed, nn.Dropout(model.dropout))
        self.norms = nn.ModuleList(nn.LayerNorm(model.width, eps=model.norm_epsilon) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.pre:
            x = x + self.dropout(self.attention(self.norms[0](x), x_mask=mask))
            return x + self.feed_forward(self.norms[1](x))
        x = self.norms[0](x + self.dropout(self.attention(x, x_mask=mask)))
        return self.norms[1](x + self.feed_forward(x))


class Encoder(nn.Module):
    """Tokens (n, length) int64 or pictures (n, height, width[, channels]) uint8 -> one logit a class (n, classes), or (n, 1) for two classes and
    for ratings. Texts may be shorter than the length that the model was built for, unless it pools by flattening."""

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
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As Keras begins: Glorot-uniform maps, zero biases, embeddings uniform in ± 0.05. W^A is Glorot-uniform too."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.uniform_(module.weight, -0.05, 0.05)
        nn.init.uniform_(self.position, -0.05, 0.05)
        for block in self.blocks:  # a control may begin with another W^A
            if begin := getattr(block.attention, "begin", None):
                begin()

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
        return self.output(self.head(pooled))

    def attention_parameters(self) -> int:
        """Parameters of the attention layers, all blocks together."""
        return sum(p.numel() for block in self.blocks for p in block.attention.parameters())


def check(config: Config) -> None:
    """Everything that can be wrong in a config, before any work. Raises `ValueError` or `TypeError`."""
    model, training, budget = config.model, config.training, config.budget
    choices = {
        "model.norm": (model.norm, ("pre", "post")),
        "model.pool": (model.pool, ("mean", "flatten")),
        "model.activation": (model.activation, tuple(ACTIVATIONS)),
        "model.head_activation": (model.head_activation, tuple(ACTIVATIONS)),
        "training.optimiser": (training.optimiser, ("adam", "adamw")),
        "data.target": (config.data.target, ("class", "rating")),
    }
    for key, (value, known) in choices.items():
        if value not in known:
            raise ValueError(f"{key} must be one of {', '.join(known)}, got {value!r}")
    at_least_one = {
        "model.blocks": model.blocks,
        "data.classes": config.data.classes,
        "data.channels": config.data.channels,
        "training.batch_size": training.batch_size,
        "budget.epochs": budget.epochs,
        "budget.repeats": budget.repeats,
        "budget.train_examples": 1 if budget.train_examples is None else budget.train_examples,
        "budget.held_out_examples": 1 if budget.held_out_examples is None else budget.held_out_examples,
    }
    for key, number in at_least_one.items():
        if number < 1:
            raise ValueError(f"{key} must be at least 1, got {number}")
    for key, share in {"model.dropout": model.dropout, "model.head_dropout": model.head_dropout}.items():
        if not 0 <= share < 1:
            raise ValueError(f"{key} must be at least 0 and below 1, got {share}")
    if training.learning_rate <= 0 or training.weight_decay < 0:
        raise ValueError(
            f"learning_rate must be positive and weight_decay not negative, got {training.learning_rate} and {training.weight_decay}"
        )
    if config.data.vocabulary is not None and config.data.vocabulary < 3:
        raise ValueError(
            f"data.vocabulary must be at least 3 (padding, unknown, one word), got {config.data.vocabulary}"
        )
    if model.norm == "pre" and (not model.hidden or model.hidden[-1] != model.width):
        raise ValueError(f"with norm: pre, model.hidden must end in the width {model.width}, got {model.hidden}")
    if not 1 <= (length := tokens_of(config.data)) <= MOST_TOKENS:
        raise ValueError(f"the number of tokens must be 1 to {MOST_TOKENS:,}, got {length:,}")
    with torch.device("meta"):  # builds every layer, so that the library's own checks speak, and allocates nothing
        Encoder(config.data, model)
