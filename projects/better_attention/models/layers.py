"""What the three networks share: the attention of a name, how weights are initialised, and how many of them are attention's."""

import inspect
from typing import Any

from torch import nn

from projects.better_attention.models.controls import CONTROLS, SuperIdentity
from regard.attention import Attention
from regard.registry import mechanism_class


def attention_class(name: str) -> type[Attention]:
    """The class of a mechanism of the library, or of a control of this project.

    Raises:
        UnknownMechanism: There is none of this name; the message gives the nearest.
    """
    return CONTROLS.get(name) or mechanism_class(name)


def attention_layer(name: str, *, width: int, heads: int, length: int, **options: Any) -> Attention:
    """An attention over at most `length` tokens.

    Args:
        name: A mechanism or a control.
        width: Of its inputs and outputs.
        heads: How many heads share the width.
        length: The most tokens; told to those classes that have parameters per token.
        options: Further options of the class, such as `pattern` and `bias`.
    """
    cls = attention_class(name)
    if "length" in inspect.signature(cls).parameters:
        options["length"] = length
    return cls(width=width, heads=heads, **options)


def library_name(attention: str) -> str:
    """The mechanism that a translator or language model builds for a row; their `super_identity` is Super, initialised by `initialise_mixing`."""
    return "super" if attention == SuperIdentity.name else attention


def initialise_like_keras(module: nn.Module) -> None:
    """Glorot-uniform maps, W^A among them, zero biases, embeddings uniform in ± 0.05."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            nn.init.uniform_(part.weight, -0.05, 0.05)


def initialise_mixing(module: nn.Module, attention: str) -> None:
    """Set every W^A to the identity if the row is `super_identity`; to be called after all maps are initialised. Biases are left as they are."""
    if attention == SuperIdentity.name:
        for name, part in module.named_modules():
            if isinstance(part, nn.Linear) and name.rpartition(".")[2] == "mixing":
                nn.init.eye_(part.weight)


def attention_parameters(model: nn.Module) -> int:
    """How many parameters the attention layers of a model have, all together."""
    return sum(p.numel() for layer in model.modules() if isinstance(layer, Attention) for p in layer.parameters())
